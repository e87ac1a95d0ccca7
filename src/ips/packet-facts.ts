/** Small facts about packets and streams that several parts of the engine ask for. */
import type { Flow } from '../flow/index.js';
import type { PacketView } from '../packet/index.js';

/** Destination to the server, source from it. */
export function serverPort({ flowDir, srcPort, dstPort }: PacketView): number {
  return flowDir === 0 ? dstPort : srcPort;
}

/** Nothing waits for the bytes of this direction: reassembly may let go of them. */
export function skipStream(flow: Flow, dir: number): void {
  const half = flow.half(dir);
  half.inspected = half.base + half.len;
}

/** The packet's facts as a packet of the other direction would have them, without payload. `out` may be the view itself. */
export function turnRound(view: PacketView, out: PacketView): void {
  const { src0, src1, src2, src3, srcPort, ingress, flowDir } = view;
  out.desc = -1;
  out.ingress = view.egress;
  out.egress = ingress;
  out.tsSec = view.tsSec;
  out.tsUsec = view.tsUsec;
  out.frameNo = view.frameNo;
  out.ipVersion = view.ipVersion;
  out.proto = view.proto;
  out.src0 = view.dst0;
  out.src1 = view.dst1;
  out.src2 = view.dst2;
  out.src3 = view.dst3;
  out.dst0 = src0;
  out.dst1 = src1;
  out.dst2 = src2;
  out.dst3 = src3;
  out.l4Off = view.l4Off;
  out.srcPort = view.dstPort;
  out.dstPort = srcPort;
  out.flowId = view.flowId;
  out.flowDir = 1 - flowDir;
  out.ctState = view.ctState;
  out.established = view.established;
}
