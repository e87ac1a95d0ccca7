/** The `files` section of the configuration: schema (validates, fills defaults, documents) and the type it yields. */
import type { EngineConfig } from './engines/registry.js';
import { ENGINES } from './engines/registry.js';
import { ATTRIBUTES, type IntegrityRuleConfig } from './integrity/rule.js';
import type { LogSource } from './log-inspection/watcher.js';
import type { FilePolicy } from './judge/policy.js';

export interface FilesConfig extends FilePolicy {
  readonly enabled: boolean;
  readonly state: string;
  readonly engines: readonly EngineConfig[];
  readonly max_file_size: number;
  readonly spool: number;
  readonly scan_seconds: number;
  readonly refresh_seconds: number;
  readonly concurrency: number;
  readonly queue: { readonly max: number; readonly max_per_vm: number };
  readonly cache: { readonly contents: number; readonly identities_per_vm: number };
  readonly quarantine: { readonly max_bytes: number; readonly max_file: number };
  readonly schedules: readonly ScheduleConfig[];
  readonly flows: FlowFilesConfig;
  readonly logs: { readonly rules: readonly string[]; readonly min_level: number; readonly sources: readonly LogSource[] };
  readonly integrity: { readonly rules: readonly IntegrityRuleConfig[]; readonly check_hours: number };
}

export interface FlowFilesConfig {
  readonly enabled: boolean;
  readonly max_file_size: number;
  readonly memory: number;
  readonly max_files: number;
  readonly block_source_seconds: number;
}

export interface ScheduleConfig {
  readonly name: string;
  readonly vms?: readonly string[];
  readonly paths: readonly string[];
  readonly exclude: readonly string[];
  readonly at: string;
  readonly days?: readonly string[];
}

/** What a VM's own `files` section may say; what it leaves out is as in the `files` section. */
export interface VmFilesConfig extends Partial<FilePolicy> {
  readonly root?: string;
}

/** Settings of FilesConfig that people write as sizes. */
export const FILE_SIZES = [['files', 'max_file_size'], ['files', 'spool'], ['files', 'quarantine', 'max_bytes'], ['files', 'quarantine', 'max_file'], ['files', 'flows', 'max_file_size'], ['files', 'flows', 'memory']] as const;

export const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

type SizeSchema = (description: string, value: string) => object;
const closed = { type: 'object', additionalProperties: false } as const;

const policy = (defaults: boolean) => ({
  on_malicious: { enum: ['deny', 'quarantine', 'delete', 'pass'], ...(defaults ? { default: 'quarantine' } : {}), description: 'A file in which something was found: refuse access; also move it to the quarantine; also delete it; or only report it. A file that does not fit into the quarantine stays and is refused.' },
  on_not_fully_scanned: { enum: ['allow', 'deny'], ...(defaults ? { default: 'allow' } : {}), description: 'A file that is encrypted or exceeds a limit, in which nothing was found.' },
  on_failed: { enum: ['allow', 'deny'], ...(defaults ? { default: 'deny' } : {}), description: 'A file that could not be scanned: engine not available, queue full, time limit.' },
});

/** @param size schema of a size, as the rest of the file writes them */
export function filesSchema(size: SizeSchema): Record<string, unknown> {
  return {
    ...closed,
    default: {},
    description: 'Malware scanning of files inside VMs.',
    properties: {
      enabled: { type: 'boolean', default: false, description: 'Judge files. `drawbridge files scan` of a directory or disk image works without.' },
      state: { type: 'string', minLength: 1, default: 'files', description: 'Directory of its state (scans under way, quarantine), relative to this file. Made with mode 0700.' },
      engines: {
        type: 'array',
        maxItems: 8,
        default: [],
        description: 'Engines that look at each content. Clean is what all of them call clean. Empty: the YARA rules that come with the appliance.',
        items: {
          type: 'object',
          required: ['type'],
          discriminator: { propertyName: 'type' },
          oneOf: Object.entries(ENGINES).map(([type, row]) => ({ ...closed, description: row.help, required: ['type', ...row.required], properties: { type: { const: type, description: row.help }, ...row.properties } })),
        },
      },
      ...policy(true),
      max_file_size: size('Larger files are not read at all and count as not fully scanned.', '100 MiB'),
      spool: size('Content held at a time while it is scanned, in memory up to 4 MiB a file, on disk above.', '1 GiB'),
      scan_seconds: { type: 'integer', minimum: 1, maximum: 3600, default: 120, description: 'Time limit of one scan, all engines together.' },
      refresh_seconds: { type: 'integer', minimum: 1, maximum: 86_400, default: 60, description: 'Interval at which engines look for new signatures.' },
      concurrency: { type: 'integer', minimum: 1, maximum: 64, default: 2, description: 'Files scanned at the same time, for all VMs together; four times as many may be read. Half of these at most are for scheduled and demanded scans.' },
      queue: {
        ...closed,
        default: {},
        description: 'Files that wait.',
        properties: {
          max: { type: 'integer', minimum: 16, maximum: 1_000_000, default: 20_000, description: 'In all; further ones fail.' },
          max_per_vm: { type: 'integer', minimum: 1, maximum: 100_000, default: 4096, description: 'Of one VM; further ones fail.' },
        },
      },
      cache: {
        ...closed,
        default: {},
        description: 'What is remembered.',
        properties: {
          contents: { type: 'integer', minimum: 1000, maximum: 10_000_000, default: 200_000, description: 'Verdicts, by content, for all VMs together.' },
          identities_per_vm: { type: 'integer', minimum: 1024, maximum: 1_048_576, default: 16_384, description: 'Files of a VM recognised without being hashed; 12 bytes each.' },
        },
      },
      quarantine: {
        ...closed,
        default: {},
        description: 'The quarantine: files kept encrypted below `state`.',
        properties: {
          max_bytes: size('All files together.', '1 GiB'),
          max_file: size('One file.', '128 MiB'),
        },
      },
      flows: {
        ...closed,
        default: {},
        description: 'Files that flows carry (HTTP, SMTP, FTP, SMB, NFS) are judged as well, after they passed: detection, and prevention of the next one.',
        properties: {
          enabled: { type: 'boolean', default: false, description: 'Judge them.' },
          max_file_size: size('Larger files are hashed but not kept: only their hash is judged.', '10 MiB'),
          memory: size('Content held of files under way in the data plane, and again of those that wait to be judged.', '64 MiB'),
          max_files: { type: 'integer', minimum: 1, maximum: 65_536, default: 1024, description: 'Files followed at a time; further ones are not looked at.' },
          block_source_seconds: { type: 'integer', minimum: 0, maximum: 86_400, default: 0, description: 'Who sent a malicious file is blocked for this long, by the firewall of VMs that have a policy; 0 = not.' },
        },
      },
      logs: {
        ...closed,
        default: {},
        description: 'Log files of VMs, inspected line by line.',
        properties: {
          rules: { type: 'array', items: { type: 'string', minLength: 1 }, default: [], description: 'Rule files, relative to this file; a directory means all its *.yaml files. Empty: those that come with the appliance (sshd, sudo, nginx, systemd).' },
          min_level: { type: 'integer', minimum: 1, maximum: 15, default: 6, description: 'Matches of rules below this level are counted, not reported.' },
          sources: {
            type: 'array',
            maxItems: 64,
            default: [],
            description: 'Which logs. Without any nothing is inspected.',
            items: {
              ...closed,
              required: ['path'],
              properties: {
                path: { type: 'string', pattern: '^/', description: 'Path inside the VM.' },
                vms: { type: 'array', minItems: 1, items: { type: 'string' }, description: 'Names of VMs. Default: all.' },
              },
            },
          },
        },
      },
      integrity: {
        ...closed,
        default: {},
        description: 'Changes of files against a baseline.',
        properties: {
          check_hours: { type: 'number', minimum: 0, maximum: 8760, default: 0, description: 'Compare every VM that has a baseline this often; 0 = on demand only. Changes that a driver reports are looked at in any case.' },
          rules: {
            type: 'array',
            maxItems: 256,
            default: [],
            description: 'What is watched. The first rule that matches a path counts.',
            items: {
              ...closed,
              required: ['name', 'include'],
              properties: {
                name: { type: 'string', minLength: 1, maxLength: 64, description: 'Appears in events.' },
                severity: { enum: ['low', 'medium', 'high', 'critical'], default: 'medium', description: 'Appears in events.' },
                include: { type: 'array', minItems: 1, items: { type: 'string', pattern: '^/' }, description: 'Patterns of paths: `*` and `?` within a level, `**` for any number of levels.' },
                exclude: { type: 'array', items: { type: 'string', pattern: '^/' }, default: [], description: 'Patterns of paths that are left out.' },
                attributes: { type: 'array', minItems: 1, uniqueItems: true, items: { enum: ['STANDARD', ...ATTRIBUTES] }, default: ['STANDARD'], description: 'What is compared. `STANDARD` is all of it; `modified` is the time.' },
                on_change: { type: 'boolean', default: true, description: 'Look at changes as the driver tells them.' },
                diff: { type: 'boolean', default: false, description: 'Keep text files up to 64 KiB and show what changed in them.' },
                no_diff: { type: 'array', items: { type: 'string', pattern: '^/' }, default: ['/etc/shadow*', '/etc/gshadow*', '/**/*.key', '/**/*.pem'], description: 'Patterns of files whose text is never kept or shown.' },
                vms: { type: 'array', minItems: 1, items: { type: 'string' }, description: 'Names of VMs. Default: all.' },
              },
            },
          },
        },
      },
      schedules: {
        type: 'array',
        maxItems: 64,
        default: [],
        description: 'Scans at fixed times (UTC).',
        items: {
          ...closed,
          required: ['name', 'at'],
          properties: {
            name: { type: 'string', minLength: 1, maxLength: 64, description: 'Appears in events and `drawbridge files status`.' },
            vms: { type: 'array', minItems: 1, items: { type: 'string' }, description: 'Names of VMs. Default: all that have a driver or a root directory.' },
            paths: { type: 'array', minItems: 1, items: { type: 'string', pattern: '^/' }, default: ['/'], description: 'What is scanned; `/` is a full scan.' },
            exclude: { type: 'array', items: { type: 'string', pattern: '^/' }, default: ['/proc', '/sys', '/dev'], description: 'Directories or files left out.' },
            at: { type: 'string', pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$', description: 'Time of day, UTC.' },
            days: { type: 'array', minItems: 1, uniqueItems: true, items: { enum: [...DAYS] }, description: 'Days of the week. Default: all.' },
          },
        },
      },
    },
  };
}

export const vmFilesSchema = {
  ...closed,
  description: 'Malware scanning of its files, where it differs from the `files` section.',
  properties: {
    ...policy(false),
    root: { type: 'string', minLength: 1, description: 'Directory of this host that is the root of its filesystem (containers, or a mounted disk of a VM that is switched off), relative to this file: scans then need no driver.' },
  },
} as const;
