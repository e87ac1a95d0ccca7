/** PPP over Ethernet, discovery and session (RFC 2516). */
import { be16 } from '../util/index.js';
import { DecodeEvent, setEvent, setInvalid } from './decode-event.js';
import type { PacketView } from './packet-view.js';
import { decodePppProtocol } from './ppp.js';

const HEADER_LEN = 6;
const CODE_PADO = 0x07;
const CODE_PADI = 0x09;
const CODE_PADR = 0x19;
const CODE_PADS = 0x65;
const CODE_PADT = 0xa7;

/** Session frame at `view.nextOff`. @returns EtherType of the PPP payload, 0 = stop */
export function decodePppoeSession(view: PacketView): number {
  const at = view.nextOff;
  if (view.end - at < HEADER_LEN + 1) {
    setInvalid(view, DecodeEvent['pppoe.pkt_too_small']);
    return 0;
  }
  // Receivers differ in whether they look at the code; what such a frame carries is inspected all the same.
  if (view.buf[at + 1] !== 0) setEvent(view, DecodeEvent['pppoe.wrong_code']);
  return decodePppProtocol(view, at + HEADER_LEN);
}

/** Discovery frame at `view.nextOff`: checked, nothing follows. */
export function decodePppoeDiscovery(view: PacketView): void {
  const buf = view.buf;
  let at = view.nextOff;
  if (view.end - at < HEADER_LEN) {
    setInvalid(view, DecodeEvent['pppoe.pkt_too_small']);
    return;
  }
  const code = buf[at + 1]!;
  if (code !== CODE_PADI && code !== CODE_PADO && code !== CODE_PADR && code !== CODE_PADS && code !== CODE_PADT) {
    setInvalid(view, DecodeEvent['pppoe.wrong_code']);
    return;
  }
  const length = be16(buf, at + 4);
  at += HEADER_LEN;
  view.payloadOff = at;
  if (length > view.end - at) {
    setInvalid(view, DecodeEvent['pppoe.malformed_tags']);
    return;
  }
  view.payloadLen = length;
  const end = at + length;
  while (end - at >= 4) {
    at += 4 + be16(buf, at + 2);
    if (at > end) {
      setInvalid(view, DecodeEvent['pppoe.malformed_tags']);
      return;
    }
  }
}
