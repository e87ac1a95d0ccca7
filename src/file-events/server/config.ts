/** The `drivers` section of the configuration and `driver` of a VM: schema (validates, fills defaults, documents), types, policy. */
import {
  EventMask, FILE_TYPES, FailurePolicy, FilterKind, MAX_FILTERS, MAX_MOUNTS, MAX_OUTSTANDING, MAX_PATH, MarkScope,
} from '../protocol/limits.js';
import type { Filter, MountPolicy } from '../protocol/messages.js';
import type { DriverPolicy } from './server.js';

export interface DriversConfig {
  readonly unix: string;
  readonly unix_mode: string;
  readonly vsock_port: number;
  readonly tls?: { readonly listen: string; readonly key: string; readonly certificate: string; readonly client_ca?: string };
  readonly max_connections: number;
  readonly heartbeat_ms: number;
}

export interface MountConfig {
  readonly path: string;
  readonly scope: 'mount' | 'filesystem';
  readonly events: readonly (keyof typeof EVENT_BITS)[];
  readonly failure: 'allow' | 'deny' | 'last-good';
  readonly timeout_ms: number;
  readonly max_size: number;
}

export interface VmDriverConfig {
  readonly token_file: string;
  readonly users: readonly number[];
  readonly cid?: number;
  readonly max_outstanding: number;
  readonly pass_descriptors: boolean;
  readonly kernel_cache: boolean;
  readonly mounts: readonly MountConfig[];
  readonly exclude: {
    readonly paths: readonly string[];
    readonly patterns: readonly string[];
    readonly processes: readonly string[];
    readonly users: readonly number[];
  };
  readonly only_types: readonly (typeof FILE_TYPES)[number][];
}

const EVENT_BITS = { open: EventMask.OPEN, 'open-exec': EventMask.OPEN_EXEC, access: EventMask.ACCESS, 'close-write': EventMask.CLOSE_WRITE, changes: EventMask.CHANGES } as const;
const FAILURES = { allow: FailurePolicy.ALLOW, deny: FailurePolicy.DENY, 'last-good': FailurePolicy.LAST_GOOD } as const;

const closed = { type: 'object', additionalProperties: false } as const;
const path = { type: 'string', pattern: '^/', maxLength: MAX_PATH } as const;

export const driversSchema = {
  ...closed,
  default: {},
  description: 'Where the drivers inside VMs connect (docs/file-events.md). Nothing listens unless a socket, port or address is given here.',
  properties: {
    unix: { type: 'string', maxLength: 100, default: '', description: 'UNIX socket, relative to this file: drivers on this host, and VMs whose vsock ends in a UNIX socket (Firecracker, Cloud Hypervisor). Empty = none.' },
    unix_mode: { type: 'string', pattern: '^0[0-7]{3}$', default: '0600', description: 'Permissions of the socket.' },
    vsock_port: { type: 'integer', minimum: 0, maximum: 4_294_967_294, default: 0, description: 'vsock port for VMs of QEMU/KVM; 0 = none.' },
    tls: {
      ...closed,
      required: ['listen', 'key', 'certificate'],
      description: 'TCP with TLS. Without it nothing listens on the network.',
      properties: {
        listen: { type: 'string', pattern: '^(\\[[0-9a-fA-F:]+\\]|[^:\\[\\]]*):[0-9]{1,5}$', description: 'host:port.' },
        key: { type: 'string', minLength: 1, description: 'Private key, PEM file, relative to this file.' },
        certificate: { type: 'string', minLength: 1, description: 'Certificate, PEM file, relative to this file.' },
        client_ca: { type: 'string', minLength: 1, description: 'Clients must show a certificate signed by this one (PEM file); besides the token.' },
      },
    },
    max_connections: { type: 'integer', minimum: 4, maximum: 65_536, default: 1024, description: 'Connections at a time. A quarter of them at most for those that have not authenticated yet.' },
    heartbeat_ms: { type: 'integer', minimum: 200, maximum: 60_000, default: 5000, description: 'A driver says this often that it lives; silence three times as long ends the connection, from either end.' },
  },
} as const;

export const vmDriverSchema = {
  ...closed,
  required: ['token_file'],
  description: 'The driver inside this VM, or beside the containers of this name.',
  properties: {
    token_file: { type: 'string', minLength: 1, description: 'File with the secret that driver and appliance share, relative to this file; made by `drawbridge driver token`.' },
    users: { type: 'array', minItems: 1, items: { type: 'integer', minimum: 0, maximum: 4_294_967_294 }, default: [0], description: 'User ids that may connect for it through the UNIX socket: that of the driver, or of the virtual machine monitor.' },
    cid: { type: 'integer', minimum: 3, maximum: 4_294_967_294, description: 'vsock context id it must come from. Default: any that knows the token.' },
    max_outstanding: { type: 'integer', minimum: 1, maximum: MAX_OUTSTANDING, default: 512, description: 'Files that may wait for a verdict at a time; processes beyond it get what `failure` says.' },
    pass_descriptors: { type: 'boolean', default: true, description: 'On the same host: hand the open file over instead of its bytes.' },
    kernel_cache: { type: 'boolean', default: true, description: 'The kernel of the guest remembers which files were allowed, until they are modified or the signatures change. Without, each open is asked about.' },
    mounts: {
      type: 'array',
      minItems: 1,
      maxItems: MAX_MOUNTS,
      default: [{ path: '/' }],
      description: 'What is watched.',
      items: {
        ...closed,
        required: ['path'],
        properties: {
          path: { ...path, description: 'A mount point, as the driver sees it. A directory inside a mount limits it to what is below.' },
          scope: { enum: ['filesystem', 'mount'], default: 'filesystem', description: '`filesystem`: however it is reached, from containers too; `mount`: through this mount only.' },
          events: { type: 'array', uniqueItems: true, minItems: 1, items: { enum: Object.keys(EVENT_BITS) }, default: ['open', 'open-exec', 'close-write'], description: 'Before opening, before executing, before each read (slow), after writing, and changed directory entries (integrity monitoring).' },
          failure: { enum: Object.keys(FAILURES), default: 'allow', description: 'When nobody answers in time: let the process have the file, refuse it, or refuse unless the unchanged file was allowed before.' },
          timeout_ms: { type: 'integer', minimum: 10, maximum: 600_000, default: 2000, description: 'How long a process waits at most.' },
          max_size: { type: 'integer', minimum: 0, default: 0, description: 'Larger files (bytes) are not asked about but allowed, and counted as filtered; 0 = all are asked about.' },
        },
      },
    },
    exclude: {
      ...closed,
      default: {},
      description: 'Never asked about: allowed, and counted as filtered.',
      properties: {
        paths: { type: 'array', items: path, default: [], description: 'Files, or everything below directories.' },
        patterns: { type: 'array', items: { type: 'string', minLength: 1, maxLength: MAX_PATH }, default: [], description: 'Whole paths with `*` and `?` (within a level) and `**` (across levels).' },
        processes: { type: 'array', items: path, default: [], description: 'Executables whose accesses pass, e.g. a backup program.' },
        users: { type: 'array', items: { type: 'integer', minimum: 0, maximum: 4_294_967_294 }, default: [], description: 'Numeric ids of users whose accesses pass.' },
      },
    },
    only_types: { type: 'array', uniqueItems: true, items: { enum: [...FILE_TYPES] }, default: [], description: 'If given, only files of these types are asked about; told by their first bytes.' },
  },
} as const;

/** What the driver of a VM is told. @throws RangeError when there are more filters than the protocol carries */
export function driverPolicy(vm: VmDriverConfig, drivers: Pick<DriversConfig, 'heartbeat_ms'>): DriverPolicy {
  const filter = (kind: FilterKind) => (value: string | number): Filter => ({ kind, value: String(value) });
  const filters = [
    ...vm.exclude.paths.map(filter(FilterKind.EXCLUDE_PATH)),
    ...vm.exclude.patterns.map(filter(FilterKind.EXCLUDE_PATTERN)),
    ...vm.exclude.processes.map(filter(FilterKind.EXCLUDE_PROCESS)),
    ...vm.exclude.users.map(filter(FilterKind.EXCLUDE_USER)),
    ...vm.only_types.map(filter(FilterKind.ONLY_TYPE)),
  ];
  if (filters.length > MAX_FILTERS) throw new RangeError(`${filters.length} exclusions and types, at most ${MAX_FILTERS}`);
  const mounts = vm.mounts.map(
    (m): MountPolicy => ({
      path: m.path,
      scope: m.scope === 'mount' ? MarkScope.MOUNT : MarkScope.FILESYSTEM,
      events: m.events.reduce((mask, name) => mask | EVENT_BITS[name], 0),
      failure: FAILURES[m.failure],
      timeoutMs: m.timeout_ms,
      maxSize: m.max_size,
    }),
  );
  return { heartbeatMs: drivers.heartbeat_ms, maxOutstanding: vm.max_outstanding, passDescriptors: vm.pass_descriptors, kernelCache: vm.kernel_cache, mounts, filters };
}
