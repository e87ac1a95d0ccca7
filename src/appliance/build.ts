/** From a loaded configuration to the parts a session is made of. Shared by run, check and replay. */
import { parseFirewall, type FirewallPolicy } from '../firewall/index.js';
import type { Budget } from '../flow/index.js';
import { ProtocolRegistry } from '../protocols/index.js';
import type { Config, PortConfig } from './config/load.js';
import type { LocatedYaml } from './config/located-yaml.js';
import type { ConfigProblem } from './config/problem.js';
import type { EngineSettings } from './engine-settings.js';

/** The firewall section compiled; its problems with the lines they stand on. `policy` is null when no VM has a policy. */
export function compileFirewall(config: Config, yaml: LocatedYaml): { policy: FirewallPolicy | null; problems: ConfigProblem[] } {
  const parsed = parseFirewall(config.firewall);
  const problems = parsed.problems.map((p) => yaml.problem(p.path, p.message, p.severity));
  const used = Object.values(config.vms).some((vm) => vm.firewall !== undefined);
  return { policy: used && !problems.some((p) => p.severity === 'error') ? parsed.policy : null, problems };
}

export function registryOf(settings: EngineSettings): ProtocolRegistry {
  const { http } = settings;
  return new ProtocolRegistry({
    http1: { requestBodyLimit: http.requestBodyLimit, responseBodyLimit: http.responseBodyLimit, layerLimit: http.decompressLayers, lzma: http.lzma },
    ports: settings.protocolPorts,
  });
}

/** Position of a VM among the configured ones, -1 for none. */
export function vmIndex(config: Config, name: string | undefined): number {
  return name === undefined ? -1 : Object.keys(config.vms).indexOf(name);
}

/**
 * What the VM of a port may take of the shared tables: its own `budget`, else the general shares. Uplinks and ports that only
 * listen carry the traffic of many, so they are held to the tables' limits alone.
 */
export function budgetOf(config: Config, port: PortConfig): Budget {
  const { flow, stream, defrag } = config;
  const own = port.vm === undefined ? undefined : config.vms[port.vm]?.budget;
  if (own === undefined && (port['role'] === 'uplink' || port['passive'] === true || port.type === 'mirror')) return {};
  const rate = own?.new_flows_per_second ?? flow.new_per_second;
  return {
    ...(own?.flows === undefined ? {} : { flows: own.flows }),
    halfOpen: own?.half_open ?? Math.ceil((flow.max * flow.half_open_share_percent) / 100),
    ...(rate === 0 ? {} : { newFlowsPerSecond: rate }),
    streamBytes: own?.stream_memory ?? (stream.memcap * stream.max_share_percent) / 100,
    fragmentBytes: own?.fragment_memory ?? (defrag.memcap * defrag.max_share_percent) / 100,
    datagrams: Math.ceil((defrag.max_datagrams * defrag.max_share_percent) / 100),
    answersPerSecond: own?.answers_per_second ?? ANSWERS_PER_SECOND,
  };
}

/** Of a port without a VM; a VM's stands in the schema. */
const ANSWERS_PER_SECOND = 250;
