/** The one configuration loader: YAML with positions -> schema -> cross checks -> typed settings. Never starts anything. */
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { FILE_SIZES, driverPolicy, type DriversConfig, type FilesConfig, type VmDriverConfig, type VmFilesConfig } from '../../file-events/index.js';
import type { Helper } from '../../flow/index.js';
import { POLICY_STEPS, sidRange, type RulePolicy } from '../../ips/index.js';
import { FrameFilter, checkPorts, type SwitchPortConfig } from '../../vswitch/index.js';
import type { WebConfig } from '../../web/index.js';
import { LocatedYaml, type PathStep } from './located-yaml.js';
import type { ConfigProblem } from './problem.js';
import type { ExceptionSettings } from '../exceptions.js';
import type { TimeoutSetting } from './timeouts.js';
import { portDefinition, snake } from './port-section.js';
import { configSchema } from './schema.js';
import { parseSize } from './size.js';
import { SchemaValidator } from './validate.js';

/** One port as configured; `settings` beyond these belong to the port type. */
export interface PortConfig {
  readonly name: string;
  readonly type: string;
  readonly vm?: string;
  readonly [setting: string]: unknown;
}

export interface VmConfig {
  readonly tenant: string;
  readonly firewall?: string;
  readonly ips: 'prevent' | 'detect' | 'off';
  readonly files?: VmFilesConfig;
  readonly web?: 'on' | 'detect' | 'off';
  readonly driver?: VmDriverConfig;
  readonly budget: {
    readonly flows?: number;
    readonly half_open?: number;
    readonly new_flows_per_second?: number;
    readonly stream_memory?: number;
    readonly fragment_memory?: number;
    readonly answers_per_second: number;
  };
  /** Name under ips.policies; without it all rules count. */
  readonly ips_policy?: string;
  readonly failure: { readonly engine: 'closed' | 'open'; readonly sanity: 'closed' | 'open' };
}

/** A capture file that the switch copies frames to; see PcapMirrorOptions of the vswitch room. */
export interface MirrorConfig {
  readonly name: string;
  readonly file: string;
  readonly ports?: readonly string[];
  readonly vlans?: readonly number[];
  readonly direction: 'in' | 'out' | 'both';
  readonly dropped_only: boolean;
  readonly filter?: string;
  readonly sample: number;
  readonly frames_per_second?: number;
  readonly max_file_size: number;
  readonly max_files: number;
}

/** The validated file with every default filled in and sizes in bytes. */
export interface Config {
  readonly name: string;
  readonly ports: readonly PortConfig[];
  readonly vms: Readonly<Record<string, VmConfig>>;
  readonly mirrors: readonly MirrorConfig[];
  readonly switch: { readonly approvals: string; readonly mac_table_size: number; readonly mac_ageing_seconds: number };
  readonly firewall: Readonly<Record<string, unknown>>;
  readonly ips: {
    readonly enabled: boolean;
    readonly rules: readonly string[];
    readonly variables: Readonly<Record<string, string | number>>;
    readonly policies: Readonly<Record<string, RulePolicy>>;
    readonly max_alerts_per_packet: number;
    readonly cache: string;
    readonly reload: 'all-or-nothing' | 'skip-refused';
  };
  readonly web: WebConfig;
  readonly stream: { readonly memcap: number; readonly depth: number; readonly midstream: boolean; readonly max_share_percent: number; readonly overlap: 'rewrite' | 'drop' };
  readonly flow: { readonly max: number; readonly max_share_percent: number; readonly half_open_share_percent: number; readonly new_per_second: number; readonly timeouts: TimeoutSetting; readonly helpers: readonly Helper[]; readonly strict: boolean; readonly strict_tunnels: boolean; readonly max_tunnel_depth: number };
  readonly exception_policy: ExceptionSettings;
  readonly defrag: { readonly memcap: number; readonly max_datagrams: number; readonly max_share_percent: number; readonly timeout_seconds: number; readonly min_first_fragment: number; readonly min_offset: number };
  readonly events: { readonly file: string; readonly types: readonly string[]; readonly rotate: number; readonly keep: number; readonly drops_per_second: number; readonly stats_seconds: number };
  readonly files: FilesConfig;
  readonly drivers: DriversConfig;
  readonly metrics: { readonly listen: string };
  readonly control: { readonly socket: string };
  readonly privileges: { readonly user: string; readonly drop: boolean };
}

export interface LoadedConfig {
  /** undefined when there are errors. */
  readonly config: Config | undefined;
  readonly problems: ConfigProblem[];
  /** Absolute paths of the rule files. */
  readonly ruleFiles: string[];
  /** Absolute paths of the SecLang files: before and after the rule set. */
  readonly webFiles: { readonly before: readonly string[]; readonly after: readonly string[] };
  /** For engines that report problems by path. */
  readonly yaml: LocatedYaml;
}

/** What PcapMirror takes at least. */
const MIN_MIRROR_BYTES = 4096;

const validator = new SchemaValidator(configSchema);

/** @throws the system error when the file cannot be read */
export function loadConfig(file: string): LoadedConfig {
  return parseConfig(file, readFileSync(file, 'utf8'));
}

/** As loadConfig, from text already read; relative paths are resolved against the folder of `file`. */
export function parseConfig(file: string, text: string): LoadedConfig {
  const yaml = new LocatedYaml(file, text);
  const problems: ConfigProblem[] = [...yaml.syntaxProblems];
  const failed = (): LoadedConfig => ({ config: undefined, problems, ruleFiles: [], webFiles: { before: [], after: [] }, yaml });
  if (problems.some((p) => p.severity === 'error')) return failed();
  if (yaml.value === null || typeof yaml.value !== 'object') {
    problems.push(yaml.problem([], 'the file holds no settings'));
    return failed();
  }
  problems.push(...validator.check(yaml));
  if (problems.some((p) => p.severity === 'error')) return failed();
  const raw = yaml.value as Record<string, Record<string, unknown>>;
  for (const path of SIZES) resolveSize(raw, path, yaml, problems);
  (raw['mirrors'] as unknown as unknown[]).forEach((_, i) => resolveSize(raw, ['mirrors', i, 'max_file_size'], yaml, problems));
  for (const name of Object.keys(raw['vms']!)) {
    for (const key of ['stream_memory', 'fragment_memory']) resolveSize(raw, ['vms', name, 'budget', key], yaml, problems);
  }
  const config = { ...raw, ports: portDefinition(raw['ports']) } as unknown as Config;
  crossCheck(config, yaml, problems);
  const base = dirname(resolve(file));
  const ruleFiles = findRules(config.ips.rules, ['ips', 'rules'], '.rules', base, yaml, problems);
  const webFiles = {
    before: findRules(config.web.rules_before, ['web', 'rules_before'], '.conf', base, yaml, problems),
    after: findRules(config.web.rules, ['web', 'rules'], '.conf', base, yaml, problems),
  };
  if (problems.some((p) => p.severity === 'error')) return failed();
  return { config, problems, ruleFiles, webFiles, yaml };
}

const SIZES: readonly (readonly PathStep[])[] = [['stream', 'memcap'], ['stream', 'depth'], ['defrag', 'memcap'], ['events', 'rotate'], ...FILE_SIZES, ['web', 'memcap'], ['web', 'hold_bytes'], ['web', 'flow_memcap'], ['web', 'request_body_limit'], ['web', 'request_body_no_files_limit'], ['web', 'response_body_limit']];

/** Put bytes in place of the size a person wrote. */
function resolveSize(raw: unknown, path: readonly PathStep[], yaml: LocatedYaml, problems: ConfigProblem[]): void {
  const holder = path.slice(0, -1).reduce((node, step) => (node as Record<PathStep, unknown>)[step], raw) as Record<PathStep, string | number>;
  const key = path.at(-1)!;
  if (holder[key] === undefined) return;
  const bytes = parseSize(holder[key]!);
  if (bytes === undefined) problems.push(yaml.problem(path, `"${holder[key]!}" is not a size (examples: 65536, 64 KiB, 256 MiB)`));
  else holder[key] = bytes;
}

function crossCheck(config: Config, yaml: LocatedYaml, problems: ConfigProblem[]): void {
  const names = new Map<string, number>();
  const policies = Object.keys((config.firewall['policies'] as object | undefined) ?? {});
  config.ports.forEach((port, i) => {
    const first = names.get(port.name);
    if (first !== undefined) problems.push(yaml.problem(['ports', i, 'name'], `port name "${port.name}" is already used by ports[${first}]`));
    else names.set(port.name, i);
    if (port.vm !== undefined && !(port.vm in config.vms)) {
      problems.push(yaml.problem(['ports', i, 'vm'], `there is no VM "${port.vm}"; known: ${Object.keys(config.vms).join(', ') || 'none (add it under vms)'}`));
    }
  });
  for (const { port, path, message } of checkPorts(config.ports as unknown as SwitchPortConfig[])) {
    const at = path.map((step) => (/^\d+$/.test(step) ? Number(step) : snake(step)));
    problems.push(yaml.problem(['ports', port, ...at], message));
  }
  checkMirrors(config, yaml, problems);
  checkRulePolicies(config, yaml, problems);
  checkDrivers(config, yaml, problems);
  config.files.schedules.forEach((schedule, i) => {
    schedule.vms?.forEach((name, k) => {
      if (!(name in config.vms)) problems.push(yaml.problem(['files', 'schedules', i, 'vms', k], `there is no VM "${name}"; known: ${Object.keys(config.vms).join(', ') || 'none'}`));
    });
  });
  checkWeb(config, yaml, problems);
  for (const [name, vm] of Object.entries(config.vms)) {
    if (vm.firewall !== undefined && !policies.includes(vm.firewall)) {
      problems.push(yaml.problem(['vms', name, 'firewall'], `there is no firewall policy "${vm.firewall}"; known: ${policies.join(', ') || 'none (add it under firewall.policies)'}`));
    }
    if (vm.ips_policy !== undefined && !Object.hasOwn(config.ips.policies, vm.ips_policy)) {
      const known = Object.keys(config.ips.policies).join(', ');
      problems.push(yaml.problem(['vms', name, 'ips_policy'], `there is no rule policy "${vm.ips_policy}"; known: ${known || 'none (add it under ips.policies)'}`));
    }
    if (vm.driver === undefined && !config.ports.some((p) => p.vm === name)) problems.push(yaml.problem(['vms', name], `no port belongs to VM "${name}"`, 'warning', true));
  }
}

/** Drivers need somewhere to connect and somebody who judges; their filters must fit into a message. */
function checkDrivers(config: Config, yaml: LocatedYaml, problems: ConfigProblem[]): void {
  const { drivers, files } = config;
  const listens = drivers.unix !== '' || drivers.vsock_port !== 0 || drivers.tls !== undefined;
  if (listens && !files.enabled) problems.push(yaml.problem(['drivers'], 'drivers ask about files: set files.enabled, or leave out where they connect'));
  for (const [name, { driver }] of Object.entries(config.vms)) {
    if (driver === undefined) continue;
    if (!listens) problems.push(yaml.problem(['vms', name, 'driver'], 'it has nowhere to connect: give drivers.unix, drivers.vsock_port or drivers.tls', 'warning', true));
    try {
      driverPolicy(driver, drivers);
    } catch (error) {
      problems.push(yaml.problem(['vms', name, 'driver'], (error as Error).message));
    }
  }
}

/** What the schema cannot say about rule selectors. */
function checkRulePolicies(config: Config, yaml: LocatedYaml, problems: ConfigProblem[]): void {
  for (const [name, policy] of Object.entries(config.ips.policies)) {
    policy.rules.forEach((step, i) => {
      for (const action of POLICY_STEPS) {
        step[action]?.sid?.forEach((sid, k) => {
          if (sidRange(sid) === null) problems.push(yaml.problem(['ips', 'policies', name, 'rules', i, action, 'sid', k], `"${sid}" is neither a sid nor a range of sids (examples: 2100498, "2000000-2099999")`));
        });
      }
    });
  }
}

function checkWeb({ web, vms }: Config, yaml: LocatedYaml, problems: ConfigProblem[]): void {
  if (web.flow_memcap < web.request_body_limit) problems.push(yaml.problem(['web', 'flow_memcap'], `${web.flow_memcap} bytes for a connection do not hold a request body of ${web.request_body_limit} (web.request_body_limit)`));
  const levels = (o: { paranoia?: number; detection_paranoia?: number }, at: PathStep[], paranoia: number): void => {
    if (o.detection_paranoia !== undefined && o.detection_paranoia < paranoia) problems.push(yaml.problem([...at, 'detection_paranoia'], `${o.detection_paranoia} is below the blocking paranoia level ${paranoia}`));
  };
  levels(web, ['web'], web.paranoia ?? 1);
  web.overrides.forEach((o, i) => {
    levels(o, ['web', 'overrides', i], o.paranoia ?? web.paranoia ?? 1);
    o.vms?.forEach((name, k) => {
      if (!(name in vms)) problems.push(yaml.problem(['web', 'overrides', i, 'vms', k], `there is no VM "${name}"; known: ${Object.keys(vms).join(', ') || 'none (add it under vms)'}`));
    });
  });
}

function checkMirrors(config: Config, yaml: LocatedYaml, problems: ConfigProblem[]): void {
  const files = new Map<string, number>();
  config.mirrors.forEach((mirror, i) => {
    const first = files.get(mirror.file);
    if (first !== undefined) problems.push(yaml.problem(['mirrors', i, 'file'], `mirrors[${first}] writes to this file already`));
    else files.set(mirror.file, i);
    mirror.ports?.forEach((name, k) => {
      if (!config.ports.some((p) => p.name === name)) {
        problems.push(yaml.problem(['mirrors', i, 'ports', k], `there is no port "${name}"; known: ${config.ports.map((p) => p.name).join(', ')}`));
      }
    });
    const wrong = mirror.filter === undefined ? '' : filterProblem(mirror.filter);
    if (wrong !== '') problems.push(yaml.problem(['mirrors', i, 'filter'], wrong));
    if (mirror.max_file_size < MIN_MIRROR_BYTES) problems.push(yaml.problem(['mirrors', i, 'max_file_size'], `must be at least ${MIN_MIRROR_BYTES} bytes`));
    if (mirror.dropped_only && mirror.direction === 'out') problems.push(yaml.problem(['mirrors', i, 'direction'], 'dropped frames have no outgoing side: this mirror would stay empty'));
  });
}

/** What is wrong with a filter expression, '' when nothing is. */
function filterProblem(text: string): string {
  try {
    FrameFilter.check(text);
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Absolute paths of rule files; a directory stands for its files with the `suffix`, by name. */
function findRules(entries: readonly string[], where: readonly PathStep[], suffix: string, base: string, yaml: LocatedYaml, problems: ConfigProblem[]): string[] {
  const files: string[] = [];
  entries.forEach((entry, i) => {
    const path = resolve(base, entry);
    const at = [...where, i];
    if (!existsSync(path)) {
      problems.push(yaml.problem(at, `no such file or directory: ${path}`));
    } else if (statSync(path).isDirectory()) {
      const found = readdirSync(path).filter((f) => f.endsWith(suffix)).toSorted();
      if (found.length === 0) problems.push(yaml.problem(at, `directory ${path} holds no *${suffix} file`, 'warning'));
      files.push(...found.map((f) => join(path, f)));
    } else files.push(path);
  });
  return [...new Set(files)];
}
