/** Reads a flow record back into the facts that events show. */
import {
  END_CAUSE_NAMES, EndCause, FLOW_STATE_NAMES, FlowState, M_ALERTED, PORT_UNKNOWN, R_A0, R_A1, R_A2, R_A3, R_B0, R_B1, R_B2, R_B3, R_FIRST_SEC, R_FIRST_USEC, R_GENERATION,
  R_LAST, R_MARKS, R_PORTS, S_BYPASS, S_DROPPED, type FlowPool, type FlowTable,
} from '../flow/index.js';
import type { PacketView } from '../packet/index.js';
import type { FlowSummary } from './events/eve.js';

/** @param vmNames by port index */
export function summarise(table: FlowTable, pool: FlowPool, id: number, cause: EndCause, vmNames: readonly string[]): FlowSummary {
  const w = (column: number): number => table.word(id, column);
  const ports = w(R_PORTS);
  const proto = table.proto(id);
  const state = table.state(id);
  const vm = (end: number): string => {
    const port = table.switchPort(id, end);
    return port === PORT_UNKNOWN ? '' : (vmNames[port] ?? '');
  };
  const dropped = table.hasFlags(id, S_DROPPED);
  return {
    id,
    eveId: table.eveId(id),
    appProto: pool.appProtoOf(id),
    proto,
    ipVersion: table.ipVersion(id),
    src: [w(R_A0), w(R_A1), w(R_A2), w(R_A3)],
    dst: [w(R_B0), w(R_B1), w(R_B2), w(R_B3)],
    srcPort: ports >>> 16,
    dstPort: ports & 0xffff,
    srcVm: vm(0),
    dstVm: vm(1),
    packetsToServer: table.packets(id, 0),
    packetsToClient: table.packets(id, 1),
    bytesToServer: table.bytes(id, 0),
    bytesToClient: table.bytes(id, 1),
    startUsec: w(R_FIRST_SEC) * 1e6 + w(R_FIRST_USEC),
    // The record keeps whole seconds of the last packet.
    endUsec: Math.max(w(R_LAST) * 1e6, w(R_FIRST_SEC) * 1e6 + w(R_FIRST_USEC)),
    state: stateName(state, table.hasFlags(id, S_BYPASS), table.packets(id, 1) > 0),
    reason: cause === EndCause.TIMEOUT ? 'timeout' : cause === EndCause.SHUTDOWN ? 'shutdown' : END_CAUSE_NAMES[cause],
    alerted: (w(R_MARKS) & M_ALERTED) !== 0,
    action: dropped ? 'drop' : 'pass',
    tcpFlagsToServer: table.tcpFlags(id, 0),
    tcpFlagsToClient: table.tcpFlags(id, 1),
    tcpState: FLOW_STATE_NAMES[state] ?? '',
    uninspected: pool.uninspectedOf(id),
    generation: w(R_GENERATION),
  };
}

/** Suricata's words for the state of a flow. */
function stateName(state: number, bypassed: boolean, answered: boolean): string {
  if (bypassed) return 'bypassed';
  if (state === FlowState.TIME_WAIT || state === FlowState.CLOSE || state === FlowState.LAST_ACK) return 'closed';
  return answered ? 'established' : 'new';
}

/** Make `view` the packet that was never sent: addresses, ports and last time of one direction of a flow, no payload. */
export function flowEndView(view: PacketView, table: FlowTable, id: number, dir: number): void {
  const w = (column: number): number => table.word(id, column);
  const a = dir === 0 ? R_A0 : R_B0;
  const b = dir === 0 ? R_B0 : R_A0;
  const a1 = dir === 0 ? R_A1 : R_B1;
  const b1 = dir === 0 ? R_B1 : R_A1;
  view.src0 = w(a);
  view.src1 = w(a1);
  view.src2 = w(a1 + 1);
  view.src3 = w(a1 + 2);
  view.dst0 = w(b);
  view.dst1 = w(b1);
  view.dst2 = w(b1 + 1);
  view.dst3 = w(b1 + 2);
  const ports = w(R_PORTS);
  view.srcPort = dir === 0 ? ports >>> 16 : ports & 0xffff;
  view.dstPort = dir === 0 ? ports & 0xffff : ports >>> 16;
  view.ipVersion = table.ipVersion(id);
  view.proto = table.proto(id);
  view.l3Off = 0;
  view.l4Off = 0;
  view.payloadLen = 0;
  view.eventCount = 0;
  view.malformed = 0;
  view.frameNo = 0;
  view.vlanCount = 0;
  view.tsSec = w(R_LAST);
  view.tsUsec = 0;
  view.flowId = id;
  view.flowDir = dir;
  const state = table.state(id);
  view.established = state >= FlowState.UDP_NEW ? table.packets(id, 1) > 0 : state >= FlowState.ESTABLISHED;
  const from = table.switchPort(id, dir);
  const to = table.switchPort(id, 1 - dir);
  view.ingress = from === PORT_UNKNOWN ? 0 : from;
  view.egress = to === PORT_UNKNOWN ? -1 : to;
}
