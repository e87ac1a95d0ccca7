/**
 * Rules a policy has without writing them (Deep Security's implicit rules): Force Allow at priority 0, so an Allow rule does
 * not cut off name resolution or path MTU discovery, and a Deny of priority 1 or higher still forbids them.
 */
import type { FirewallRule } from '../model.js';
import { flag, parseRule, rejectUnknownKeys, type DraftRule } from './rule.js';
import { Problems, type Path } from './problems.js';

/** Switch -> the rules it stands for, in the language of the configuration. */
const IMPLICIT_RULES: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>> = {
  // RFC 1191, RFC 8201: without these, connections over a smaller link hang.
  path_mtu: [
    { direction: 'in', protocol: 'icmp', icmp: 'fragmentation-needed' },
    { direction: 'out', protocol: 'icmp', icmp: 'fragmentation-needed' },
    { direction: 'in', protocol: 'icmpv6', icmp: 'v6-packet-too-big' },
    { direction: 'out', protocol: 'icmpv6', icmp: 'v6-packet-too-big' },
  ],
  // RFC 4890 section 4.4.1: must not be dropped on the local link.
  neighbor_discovery: ['in', 'out'].map((direction) => ({
    direction,
    protocol: 'icmpv6',
    icmp: ['v6-router-solicitation', 'v6-router-advertisement', 'v6-neighbor-solicitation', 'v6-neighbor-advertisement'],
  })),
  arp: [
    { direction: 'in', frame: 'arp' },
    { direction: 'out', frame: 'arp' },
  ],
  dns: [{ direction: 'out', protocol: 'tcp+udp', destination: { port: 53 } }],
  // RFC 2131: answers may be broadcast, so connection tracking cannot relate them. RFC 8415 for IPv6.
  dhcp: [
    { direction: 'out', protocol: 'udp', source: { port: 68 }, destination: { port: 67 } },
    { direction: 'in', protocol: 'udp', source: { port: 67 }, destination: { port: 68 } },
    { direction: 'out', protocol: 'udp', source: { port: 546 }, destination: { port: 547 } },
    { direction: 'in', protocol: 'udp', source: { port: 547 }, destination: { port: 546 } },
  ],
};

export const IMPLICIT_SWITCHES = Object.keys(IMPLICIT_RULES);

export interface ImplicitConfig {
  readonly rules: readonly DraftRule[];
  readonly blockSameAddress: boolean;
}

/** Read a policy's `implicit` section; every switch is on unless turned off. */
export function parseImplicit(settings: Record<string, unknown>, path: Path, problems: Problems): ImplicitConfig {
  rejectUnknownKeys(settings, [...IMPLICIT_SWITCHES, 'block_same_address'], path, problems);
  const rules: DraftRule[] = [];
  for (const [name, list] of Object.entries(IMPLICIT_RULES)) {
    if (flag(settings[name], true, [...path, name], problems)) rules.push(...list.map((text) => implicitRule(name, text, path)));
  }
  return { rules, blockSameAddress: flag(settings['block_same_address'], true, [...path, 'block_same_address'], problems) };
}

function implicitRule(name: string, text: Readonly<Record<string, unknown>>, path: Path): DraftRule {
  const own = new Problems();
  const rule = parseRule({ action: 'force-allow', ...text }, `implicit ${name}`, -1, { lists: new Map(), schedules: new Map(), problems: own }, [...path, name]);
  if (rule === undefined) throw new Error(`implicit rule "${name}" does not parse: ${own.list[0]?.message ?? ''}`);
  return { ...rule, implicit: true } satisfies Omit<FirewallRule, 'index'>;
}
