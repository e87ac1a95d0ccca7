/** Turns what a stage found into a sentence for `explain`. Only runs for packets somebody asked about. */
import { FLOW_STATE_NAMES, type Flow, type FlowTable } from '../flow/index.js';
import type { Firewall } from '../firewall/index.js';
import { DECODE_EVENTS, TUNNEL_NAMES, formatIp, formatMac, type PacketView } from '../packet/index.js';
import { CT_STATE_NAMES, DROP_REASONS, Verdict, isDrop } from '../pipeline/index.js';
import { ipProtocolName } from './events/ip-protocol-name.js';
import type { Tracer } from './trace.js';

const TCP_FLAG_LETTERS = ['F', 'S', 'R', 'P', 'A', 'U', 'E', 'C'] as const;
const VERDICT_WORDS: Readonly<Record<number, string>> = {
  [Verdict.NONE]: 'passes (nothing objected)',
  [Verdict.PASS]: 'passes',
  [Verdict.BYPASS]: 'passes without inspection (bypass)',
  [Verdict.DROP]: 'is dropped',
  [Verdict.REJECT]: 'is dropped and the sender is told',
  [Verdict.DROP_FLOW]: 'is dropped, and with it the rest of its flow',
  [Verdict.REJECT_FLOW]: 'is dropped with the rest of its flow, and the ends are told',
};

export function tracePacket(t: Tracer, view: PacketView): void {
  if (view.ipVersion === 0) {
    t.add('decode', `frame of ${view.end - view.off} bytes, EtherType 0x${view.etherType.toString(16).padStart(4, '0')}, ${formatMac(view.srcMacHi, view.srcMacLo)} -> ${formatMac(view.dstMacHi, view.dstMacLo)}`);
  } else {
    const src = formatIp(view.ipVersion, view.src0, view.src1, view.src2, view.src3);
    const dst = formatIp(view.ipVersion, view.dst0, view.dst1, view.dst2, view.dst3);
    const ports = view.l4Off >= 0 && (view.proto === 6 || view.proto === 17 || view.proto === 132);
    let text = `${ipProtocolName(view.proto)} ${src}${ports ? `:${view.srcPort}` : ''} -> ${dst}${ports ? `:${view.dstPort}` : ''}`;
    if (view.proto === 6 && view.l4Off >= 0) {
      const flags = TCP_FLAG_LETTERS.filter((_, i) => view.tcpFlags & (1 << i)).join('');
      text += `, flags ${flags || 'none'}, seq ${view.seq >>> 0}, ack ${view.ack >>> 0}`;
    }
    if (view.proto === 1 || view.proto === 58) text += `, type ${view.icmpType} code ${view.icmpCode}`;
    text += `, ${view.payloadLen} bytes of payload`;
    if (view.gsoSize > 0) text += ` (super-frame of ${Math.ceil(view.payloadLen / view.gsoSize)} segments)`;
    if (view.fragment) text += `, fragment at ${view.fragOff}`;
    if (view.vlanCount > 0) text += `, VLAN ${view.vlan0 & 0xfff}`;
    if (view.tunnel !== 0) text += `, carries ${TUNNEL_NAMES[view.tunnel] ?? 'a tunnelled packet'}`;
    t.add(view.desc < 0 ? 'defrag' : 'decode', view.desc < 0 ? `the datagram is complete: ${text}` : text);
  }
  for (let i = 0; i < view.eventCount; i++) t.add('decode', `event ${DECODE_EVENTS[view.events[i]!]?.name ?? view.events[i]}`);
}

export function traceConnection(t: Tracer, view: PacketView, table: FlowTable): void {
  const state = CT_STATE_NAMES[view.ctState] ?? String(view.ctState);
  if (view.flowId < 0) {
    t.add('flow', `${state}: no tracked connection${view.reason !== 0 ? ` (${DROP_REASONS[view.reason]!.name})` : ''}`);
    return;
  }
  const id = view.flowId;
  t.add('flow', `${state}: flow ${table.eveId(id)}, ${view.flowDir === 0 ? 'to server' : 'to client'}, state ${FLOW_STATE_NAMES[table.state(id)] ?? '?'}, packets ${table.packets(id, 0)}/${table.packets(id, 1)}`);
}

export function traceFirewall(t: Tracer, view: PacketView, verdict: number, firewall: Firewall): void {
  const rule = view.ruleSid > 0 ? firewall.rule(view.ruleSid) : undefined;
  const by = rule ? ` by rule "${rule.name}"` : '';
  if (isDrop(verdict)) t.add('firewall', `refuses${by}: ${DROP_REASONS[view.reason]!.name}`);
  else if (verdict === Verdict.BYPASS) t.add('firewall', `bypasses${by}`);
  else t.add('firewall', verdict === Verdict.NONE ? 'has no rule against it' : 'allows it');
}

export function traceStream(t: Tracer, view: PacketView, flow: Flow): void {
  const half = flow.half(view.flowDir);
  const app = flow.app > 0 ? flow.appProto : flow.app < 0 ? 'not recognised' : 'not known yet';
  t.add('stream', `${half.end} contiguous bytes in this direction, parsed to ${half.parsed}; application protocol ${app}${flow.uninspected ? `; not inspected further: ${flow.uninspected}` : ''}`);
  if (view.modified) t.add('stream', 'the segment differed from what was inspected and was rewritten');
}

function ruleWords(stage: string, { ruleGid, ruleSid }: PacketView): string {
  if (stage === 'web') return `web rule ${ruleSid}`;
  return `${stage === 'firewall' ? 'firewall rule' : 'signature'} ${ruleGid}:${ruleSid}`;
}

export function traceVerdict(t: Tracer, view: PacketView): void {
  const words = view.held ? 'waits for the rest of its request' : (VERDICT_WORDS[view.verdict] ?? 'passes');
  if (!isDrop(view.verdict)) {
    t.add('verdict', words);
    return;
  }
  const reason = DROP_REASONS[view.reason]!;
  const rule = view.ruleSid > 0 ? `, ${ruleWords(reason.stage, view)}` : '';
  t.add('verdict', `${words}: ${reason.name} (${reason.help})${rule}`);
}
