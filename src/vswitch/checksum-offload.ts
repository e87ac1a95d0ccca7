/**
 * A stage rewrote payload bytes (first-bytes-win normalisation): the transport checksum is wrong now. Instead of summing the
 * payload here, the frame is turned into one with a partial checksum: ports that know offloads pass it on as it is, for
 * the others the output path completes it, as it does for every such frame.
 */
import {
  D_CSUM_OFF,
  D_CSUM_START,
  D_STRIDE,
  D_VNET_FLAGS,
  PROTO_TCP,
  PROTO_UDP,
  VNET_F_NEEDS_CSUM,
  internetChecksum,
  pseudoHeaderSum,
  type FrameBatch,
  type PacketView,
} from '../packet/index.js';
import { be16, putBe16 } from '../util/index.js';

const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;

/** Mark the frame of `view` as having a partial transport checksum. Frames that have one already need nothing. */
export function deferTransportChecksum(view: PacketView, batch: FrameBatch): void {
  if (view.csumPartial || view.fragment || view.l4Off < 0 || view.desc < 0) return;
  if (view.proto !== PROTO_TCP && view.proto !== PROTO_UDP) return;
  const field = view.proto === PROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
  // RFC 768: the sender computed none, so there is none to be wrong.
  if (view.proto === PROTO_UDP && be16(view.buf, view.l4Off + field) === 0) return;
  const len = view.ipEnd - view.l4Off;
  const pseudo = pseudoHeaderSum(view.buf, view.l3Off, view.ipVersion, view.proto, len);
  if (view.ipEnd !== view.end) {
    // Completion sums to the end of the frame, so padding or a trailer behind the packet would be summed as well.
    putBe16(view.buf, view.l4Off + field, 0);
    const checksum = internetChecksum(view.buf, view.l4Off, len, pseudo);
    putBe16(view.buf, view.l4Off + field, checksum === 0 && view.proto === PROTO_UDP ? 0xffff : checksum);
    return;
  }
  putBe16(view.buf, view.l4Off + field, pseudo);
  const d = view.desc * D_STRIDE;
  batch.desc[d + D_VNET_FLAGS] = VNET_F_NEEDS_CSUM;
  batch.desc[d + D_CSUM_START] = view.l4Off - view.off;
  batch.desc[d + D_CSUM_OFF] = field;
  view.csumPartial = true;
}
