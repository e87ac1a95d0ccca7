/** What is wrong with a set of ports, before anything is opened: for `check`, with the setting each mistake stands at. */
import { AddressList } from './address-list.js';
import { SwitchPort, type SwitchPortConfig } from './switch-port.js';

export interface PortProblem {
  /** Index of the port. */
  readonly port: number;
  /** Where in its definition, as property names. */
  readonly path: readonly string[];
  readonly message: string;
}

/** @param configs definitions that passed the schema; names are checked by whoever reads the file */
export function checkPorts(configs: readonly SwitchPortConfig[]): PortProblem[] {
  const problems: PortProblem[] = [];
  const names = new Set(configs.map((config) => config.name));
  configs.forEach((config, port) => {
    const before = problems.length;
    const spoofGuard = config.security?.spoofGuard;
    addresses(config.ips, ['ips'], port, problems);
    addresses(spoofGuard?.authorised, ['security', 'spoofGuard', 'authorised'], port, problems);
    if (config.mac === undefined && (spoofGuard?.mode ?? 'off') !== 'off') problems.push({ port, path: ['security', 'spoofGuard'], message: 'SpoofGuard needs the mac of the port' });
    if (config.mac === undefined && config.allowedMacs !== undefined) problems.push({ port, path: ['allowedMacs'], message: 'allowed_macs needs mac' });
    if (config.forwardTo !== undefined && (config.forwardTo === config.name || !names.has(config.forwardTo))) {
      problems.push({ port, path: ['forwardTo'], message: config.forwardTo === config.name ? 'a port cannot forward to itself' : `there is no port "${config.forwardTo}"; known: ${[...names].join(', ')}` });
    }
    if (problems.length > before) return;
    try {
      SwitchPort.check(port, config);
    } catch (error) {
      problems.push({ port, path: [], message: (error instanceof Error ? error.message : String(error)).replace(`port ${config.name}: `, '') });
    }
  });
  return problems;
}

function addresses(list: readonly string[] | undefined, path: readonly string[], port: number, problems: PortProblem[]): void {
  list?.forEach((text, i) => {
    try {
      AddressList.check(text);
    } catch (error) {
      problems.push({ port, path: [...path, String(i)], message: error instanceof Error ? error.message : String(error) });
    }
  });
}
