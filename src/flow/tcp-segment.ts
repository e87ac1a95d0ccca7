/** What connection tracking wants to know of a TCP segment by itself: its class, the sequence numbers it takes, their order. */
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, TCP_URG, type PacketView } from '../packet/index.js';

/** Classes of segments, by flags. */
export const SEG_INVALID = 0;
export const SEG_SYN = 1;
export const SEG_SYNACK = 2;
export const SEG_FIN = 3;
export const SEG_ACK = 4;
export const SEG_RST = 5;

/** Class of the low six flag bits; everything not listed is no honest segment. PSH, ECE and CWR do not matter. */
const CLASS_FLAGS = TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK | TCP_URG;
const classes = new Uint8Array(64);
classes[TCP_SYN] = SEG_SYN;
classes[TCP_SYN | TCP_URG] = SEG_SYN;
classes[TCP_SYN | TCP_ACK] = SEG_SYNACK;
classes[TCP_RST] = SEG_RST;
classes[TCP_RST | TCP_ACK] = SEG_RST;
classes[TCP_FIN | TCP_ACK] = SEG_FIN;
classes[TCP_FIN | TCP_ACK | TCP_URG] = SEG_FIN;
classes[TCP_ACK] = SEG_ACK;
classes[TCP_ACK | TCP_URG] = SEG_ACK;

/** SEG_* of a packet's flags. */
export function segmentClass(tcpFlags: number): number {
  return classes[tcpFlags & CLASS_FLAGS];
}

/** a < b modulo 2^32. */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** Sequence number after the segment. */
export function segmentEnd(view: PacketView): number {
  return (view.seq + view.payloadLen + (view.tcpFlags & TCP_FIN) + ((view.tcpFlags & TCP_SYN) >>> 1)) | 0;
}
