/** TCP header and options (RFC 9293, RFC 7323, RFC 2018, RFC 7413). */
import { be16, be32 } from '../util/index.js';
import { DecodeEvent, setEvent, setInvalid } from './decode-event.js';
import type { PacketView } from './packet-view.js';

export const TCP_HEADER_LEN = 20;

/** Bits of `view.tcpFlags`. */
export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_URG = 0x20;
export const TCP_ECE = 0x40;
export const TCP_CWR = 0x80;
export const TCP_NS = 0x100;

/** Bits of `view.tcpOptions`. */
export const TCP_OPT_MSS = 1 << 0;
export const TCP_OPT_WSCALE = 1 << 1;
export const TCP_OPT_SACK_PERMITTED = 1 << 2;
export const TCP_OPT_SACK = 1 << 3;
export const TCP_OPT_TIMESTAMP = 1 << 4;
export const TCP_OPT_MD5 = 1 << 5; //        RFC 2385
export const TCP_OPT_AO = 1 << 6; //         RFC 5925
export const TCP_OPT_MPTCP = 1 << 7; //      RFC 8684
export const TCP_OPT_FAST_OPEN = 1 << 8; //  RFC 7413, also in its experimental form (RFC 6994)
export const TCP_OPT_OTHER = 1 << 9;
/** NOP NOP Timestamp(10): what nearly every data segment carries. */
const NOP_NOP_TIMESTAMP = 0x0101080a;
const FAST_OPEN_MAGIC = 0xf989;

/** Header at `at`, ending at view.ipEnd. */
export function decodeTcp(view: PacketView, at: number): void {
  const data = view.data;
  const have = view.ipEnd - at;
  if (have < TCP_HEADER_LEN) {
    setInvalid(view, DecodeEvent['tcp.pkt_too_small']);
    return;
  }
  const offsetFlags = data.getUint16(at + 12);
  const hdrLen = (offsetFlags >>> 12) << 2;
  if (hdrLen > have) {
    setInvalid(view, DecodeEvent['tcp.hlen_too_small']);
    return;
  }
  if (hdrLen < TCP_HEADER_LEN) {
    setInvalid(view, DecodeEvent['tcp.invalid_optlen']);
    return;
  }
  view.l4Off = at;
  view.srcPort = data.getUint16(at);
  view.dstPort = data.getUint16(at + 2);
  view.seq = data.getInt32(at + 4);
  view.ack = data.getInt32(at + 8);
  view.tcpFlags = offsetFlags & 0x1ff;
  view.window = data.getUint16(at + 14);
  view.urgPtr = data.getUint16(at + 18);
  view.tcpHdrLen = hdrLen;
  view.payloadOff = at + hdrLen;
  view.payloadLen = have - hdrLen;
  if (hdrLen === 32 && data.getInt32(at + 20) === NOP_NOP_TIMESTAMP) {
    view.tcpOptions = TCP_OPT_TIMESTAMP;
    view.tsVal = data.getInt32(at + 24);
    view.tsEcr = data.getInt32(at + 28);
  } else if (hdrLen > TCP_HEADER_LEN) {
    decodeOptions(view, at + TCP_HEADER_LEN, at + hdrLen);
  }
}

function decodeOptions(view: PacketView, start: number, end: number): void {
  const buf = view.buf;
  let at = start;
  while (at < end) {
    const kind = buf[at]!;
    if (kind === 0) return;
    if (kind === 1) {
      at++;
      continue;
    }
    if (end - at < 2) return;
    const len = buf[at + 1]!;
    if (len < 2 || len > end - at) {
      setInvalid(view, DecodeEvent['tcp.opt_invalid_len']);
      return;
    }
    decodeOption(view, buf, at, kind, len);
    at += len;
  }
}

/** One option whose length fits. The first of a kind counts. */
function decodeOption(view: PacketView, buf: Uint8Array, at: number, kind: number, len: number): void {
  switch (kind) {
    case 2:
      if (accept(view, TCP_OPT_MSS, len === 4)) view.mss = be16(buf, at + 2);
      break;
    case 3:
      // RFC 7323 section 2.3: shifts above 14 are used as 14.
      if (accept(view, TCP_OPT_WSCALE, len === 3)) view.wscale = Math.min(buf[at + 2]!, 14);
      break;
    case 4:
      accept(view, TCP_OPT_SACK_PERMITTED, len === 2);
      break;
    case 5:
      // An empty one is pointless but seen in the wild.
      accept(view, TCP_OPT_SACK, len <= 34 && ((len - 2) & 7) === 0);
      break;
    case 8:
      if (accept(view, TCP_OPT_TIMESTAMP, len === 10)) {
        view.tsVal = be32(buf, at + 2);
        view.tsEcr = be32(buf, at + 6);
      }
      break;
    case 19:
      noteAuthentication(view, TCP_OPT_MD5, len === 18);
      break;
    case 29:
      noteAuthentication(view, TCP_OPT_AO, len >= 4);
      break;
    case 30:
      view.tcpOptions |= TCP_OPT_MPTCP;
      break;
    case 34:
      accept(view, TCP_OPT_FAST_OPEN, len === 2 || (len >= 4 && len <= 18 && (len & 1) === 0));
      break;
    case 253:
    case 254:
      if (len < 4) setEvent(view, DecodeEvent['tcp.opt_invalid_len']);
      else if (be16(buf, at + 2) === FAST_OPEN_MAGIC) accept(view, TCP_OPT_FAST_OPEN, len === 4 || len === 12);
      else view.tcpOptions |= TCP_OPT_OTHER;
      break;
    default:
      view.tcpOptions |= TCP_OPT_OTHER;
      break;
  }
}

/** Signatures are not verified here, so a second one is nobody's business. */
function noteAuthentication(view: PacketView, bit: number, lengthOk: boolean): void {
  if (lengthOk) view.tcpOptions |= bit;
  else setEvent(view, DecodeEvent['tcp.opt_invalid_len']);
}

/** Note an option. @returns false when it is not to be read: wrong length for its kind, or a second one of it */
function accept(view: PacketView, bit: number, lengthOk: boolean): boolean {
  if (!lengthOk) {
    setEvent(view, DecodeEvent['tcp.opt_invalid_len']);
    return false;
  }
  if ((view.tcpOptions & bit) !== 0) {
    setEvent(view, DecodeEvent['tcp.opt_duplicate']);
    return false;
  }
  view.tcpOptions |= bit;
  return true;
}
