/** Network Service Header (RFC 8300): skipped to the packet it carries. */
import { be16 } from '../util/index.js';
import { DecodeEvent, setEvent, setInvalid } from './decode-event.js';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, ETHERTYPE_NSH, ETHERTYPE_TEB } from './ether-type.js';
import type { PacketView } from './packet-view.js';

const BASE_LEN = 8;

/** Header at `view.nextOff`. @returns EtherType of the payload, 0 = stop */
export function decodeNsh(view: PacketView): number {
  const buf = view.buf;
  const at = view.nextOff;
  const have = view.end - at;
  if (have < BASE_LEN) {
    setInvalid(view, DecodeEvent['nsh.header_too_small']);
    return 0;
  }
  if (be16(buf, at) >>> 14 !== 0) {
    setEvent(view, DecodeEvent['nsh.unsupported_version']);
    return 0;
  }
  const len = (be16(buf, at) & 0x3f) << 2;
  const mdType = buf[at + 2]! & 0x0f;
  if (len < BASE_LEN || len > have) {
    setInvalid(view, DecodeEvent['nsh.bad_header_length']);
    return 0;
  }
  if (mdType === 0) {
    setEvent(view, DecodeEvent['nsh.reserved_type']);
    return 0;
  }
  // Fixed-length metadata is four words long, neither more nor less (RFC 8300 section 2.4).
  if (mdType === 1 && len !== 24) {
    setInvalid(view, DecodeEvent['nsh.bad_header_length']);
    return 0;
  }
  if (mdType > 2) {
    setEvent(view, DecodeEvent['nsh.unsupported_type']);
    return 0;
  }
  view.nextOff = at + len;
  switch (buf[at + 3]) {
    case 1:
      return ETHERTYPE_IPV4;
    case 2:
      return ETHERTYPE_IPV6;
    case 3:
      return ETHERTYPE_TEB;
    case 4:
      return ETHERTYPE_NSH;
    case 5:
      return ETHERTYPE_MPLS;
    default:
      setEvent(view, DecodeEvent['nsh.unknown_payload']);
      return 0;
  }
}
