/** From a loaded configuration to the parts a session is made of. Shared by run, check and replay. */
import { parseFirewall, type FirewallPolicy } from '../firewall/index.js';
import { ProtocolRegistry } from '../protocols/index.js';
import type { Config } from './config/load.js';
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
