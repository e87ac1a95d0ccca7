/** SCTP common header (RFC 9260 section 3.1). Chunks are not decoded. */
import { be16 } from '../util/index.js';
import { DecodeEvent, setInvalid } from './decode-event.js';
import type { PacketView } from './packet-view.js';

export const SCTP_HEADER_LEN = 12;

/** Header at `at`, ending at view.ipEnd. */
export function decodeSctp(view: PacketView, at: number): void {
  const have = view.ipEnd - at;
  if (have < SCTP_HEADER_LEN) {
    setInvalid(view, DecodeEvent['sctp.pkt_too_small']);
    return;
  }
  view.l4Off = at;
  view.srcPort = be16(view.buf, at);
  view.dstPort = be16(view.buf, at + 2);
  view.payloadOff = at + SCTP_HEADER_LEN;
  view.payloadLen = have - SCTP_HEADER_LEN;
}
