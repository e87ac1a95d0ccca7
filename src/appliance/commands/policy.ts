/** `drawbridge policy reach A B:port`: may A open a connection to B, and which rule says so. Starts nothing. */
import { DIRECTION_NAMES, Reachability, type ReachAnswer, type ReachStep } from '../../firewall/index.js';
import { formatIp, parseIp, PROTO_ICMP, PROTO_ICMPV6, PROTO_SCTP, PROTO_TCP, PROTO_UDP, type IpAddress } from '../../packet/index.js';
import { compileFirewall } from '../build.js';
import { loadConfig, type Config } from '../config/load.js';
import { formatProblem } from '../config/problem.js';
import type { LocatedYaml } from '../config/located-yaml.js';

export interface ReachOptions {
  readonly config: string;
  readonly sourcePort: number;
  /** ISO time for schedules; undefined = now. */
  readonly at?: string;
  readonly json: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** One end of the question: an address, and the policy that guards it. */
interface End {
  readonly vm: string;
  readonly address: IpAddress;
  readonly policy: string | null;
}

interface Service {
  readonly proto: number;
  readonly port: number;
  readonly text: string;
}

const PROTOCOLS: Readonly<Record<string, number>> = { tcp: PROTO_TCP, udp: PROTO_UDP, sctp: PROTO_SCTP };
const ECHO = 8 << 8;
const ECHO_V6 = 128 << 8;

/** @returns 0 = every pair of addresses is reachable, 1 = some are not, 2 = bad question or configuration */
export async function reach(from: string, to: string, options: ReachOptions): Promise<number> {
  const loaded = loadConfig(options.config);
  const { config } = loaded;
  const firewall = config === undefined ? undefined : compileFirewall(config, loaded.yaml);
  const problems = [...loaded.problems, ...(firewall?.problems ?? [])].filter((p) => p.severity === 'error');
  for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
  if (config === undefined || firewall === undefined || problems.length > 0) return 2;
  const seconds = options.at === undefined ? options.now / 1000 : Date.parse(options.at) / 1000;
  if (Number.isNaN(seconds)) return bad(`"${options.at}" is no time; accepted: 2026-01-31T20:00:00Z`);
  const target = splitTarget(to);
  if (target === undefined) return bad(`"${to}" is no service; accepted: VM:443, 10.0.0.1:53/udp, [2001:db8::1]:443, VM/icmp`);
  const sources = endsOf(from, config);
  const destinations = endsOf(target.host, config);
  for (const [text, list] of [[from, sources], [target.host, destinations]] as const) {
    if (typeof list === 'string') return bad(`${text}: ${list}`);
  }
  const reachability = new Reachability(firewall.policy ?? { rules: [], policies: new Map(), activeContexts: new Set(), recon: NO_RECON });
  const results: { from: End; to: End; answer: ReachAnswer }[] = [];
  for (const source of sources as End[]) {
    for (const destination of destinations as End[]) {
      if (source.address.version !== destination.address.version) continue;
      const v6 = source.address.version === 6;
      const proto = target.service.proto === PROTO_ICMP && v6 ? PROTO_ICMPV6 : target.service.proto;
      const answer = reachability.ask({
        source: source.address, destination: destination.address, proto, sourcePort: options.sourcePort, destinationPort: target.service.port, icmp: v6 ? ECHO_V6 : ECHO,
        sourcePolicy: source.policy, destinationPolicy: destination.policy, seconds,
      });
      results.push({ from: source, to: destination, answer });
    }
  }
  if (results.length === 0) return bad('the two have no addresses of the same IP version');
  if (options.json) process.stdout.write(`${JSON.stringify(results.map((r) => asJson(r, target.service)), null, 2)}\n`);
  else for (const r of results) print(r.from, r.to, target.service, r.answer, loaded.yaml);
  return results.every((r) => r.answer.reachable) ? 0 : 1;
}

const NO_RECON = { enabled: false, scan: false, tcpNull: false, tcpSynFin: false, tcpXmas: false, osProbe: false, scanTargets: 25, windowSeconds: 60, slowWindowSeconds: 3600, blockSeconds: 0, allow: null, watch: null };

function bad(text: string): number {
  process.stderr.write(`drawbridge: policy reach: ${text}\n`);
  return 2;
}

/** `HOST:PORT`, `HOST:PORT/PROTOCOL` or `HOST/icmp`; IPv6 hosts in brackets. */
function splitTarget(text: string): { host: string; service: Service } | undefined {
  const ping = /^\[?([^[\]]+?)\]?\/icmp$/.exec(text);
  if (ping) return { host: ping[1]!, service: { proto: PROTO_ICMP, port: 0, text: 'icmp echo' } };
  const m = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})(?:\/([a-z]+))?$/.exec(text);
  const proto = PROTOCOLS[m?.[4] ?? 'tcp'];
  const port = Number(m?.[3]);
  if (m === null || proto === undefined || port > 65535) return undefined;
  return { host: m[1] ?? m[2]!, service: { proto, port, text: `${m[4] ?? 'tcp'} port ${port}` } };
}

/** A VM by name (all addresses of its ports), or an address, which belongs to the VM that has it. @returns what is wrong */
function endsOf(text: string, config: Config): End[] | string {
  const owners = config.ports.flatMap((p) => addressesOf(p['ips']).map((address) => ({ vm: p.vm ?? '', address })));
  const policy = (vm: string): string | null => config.vms[vm]?.firewall ?? null;
  if (Object.hasOwn(config.vms, text)) {
    const mine = owners.filter((o) => o.vm === text);
    return mine.length > 0 ? mine.map((o) => ({ ...o, policy: policy(text) })) : 'its ports have no `ips`; ask for an address of it as ADDRESS@VM';
  }
  const [address, vm] = text.split('@');
  if (vm !== undefined && !Object.hasOwn(config.vms, vm)) return `there is no VM "${vm}"; known: ${Object.keys(config.vms).join(', ') || 'none'}`;
  let parsed: IpAddress;
  try {
    parsed = parseIp(address!);
  } catch (error) {
    if (error instanceof SyntaxError) return `neither a VM nor an address; VMs: ${Object.keys(config.vms).join(', ') || 'none'}`;
    throw error;
  }
  const owner = vm ?? owners.find((o) => o.address.version === parsed.version && o.address.words.every((w, i) => w === parsed.words[i]))?.vm ?? '';
  return [{ vm: owner, address: parsed, policy: policy(owner) }];
}

function addressesOf(value: unknown): IpAddress[] {
  return Array.isArray(value) ? value.map(String).filter((ip) => !ip.includes('/')).map((ip) => parseIp(ip)) : [];
}

const name = (end: End): string => {
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = end.address.words;
  return `${end.vm === '' ? '' : `${end.vm} `}${formatIp(end.address.version, w0, w1, w2, w3)}`;
};

function print(from: End, to: End, service: Service, answer: ReachAnswer, yaml: LocatedYaml): void {
  process.stdout.write(`${answer.reachable ? 'yes' : 'no '}  ${name(from)} -> ${name(to)}, ${service.text}\n`);
  if (answer.steps.length === 0) process.stdout.write('     neither end has a firewall policy\n');
  for (const s of answer.steps) process.stdout.write(`     ${s.what === 'request' ? '->' : '<-'} ${DIRECTION_NAMES[s.direction].padEnd(3)} of policy "${s.policy}": ${s.permitted ? 'passes' : 'stops here'}: ${s.why}${place(s, yaml)}\n`);
}

/** Where the rule stands in the file. */
function place(s: ReachStep, yaml: LocatedYaml): string {
  if (s.rule === null || s.rule.implicit) return '';
  const { file, line } = yaml.problem(s.rule.path, '', 'warning');
  return ` (${file}:${line})`;
}

function asJson(r: { from: End; to: End; answer: ReachAnswer }, service: Service): object {
  return {
    from: name(r.from), to: name(r.to), service: service.text, reachable: r.answer.reachable,
    steps: r.answer.steps.map((s) => ({ what: s.what, policy: s.policy, direction: DIRECTION_NAMES[s.direction], permitted: s.permitted, rule: s.rule?.name ?? null, why: s.why })),
  };
}
