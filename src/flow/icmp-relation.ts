/**
 * Which tracked flow an ICMP error is about: the packet it quotes names it (RFC 792, RFC 4443 section 3). An error about
 * TCP must also quote a sequence number that is in flight (RFC 5927 section 4.1): whoever guesses addresses and ports
 * alone cannot speak for a router.
 */
import { EmbeddedPacket, icmpEmbedded, icmpv6Embedded, PROTO_TCP, type PacketView } from '../packet/index.js';
import { DropReason } from '../pipeline/index.js';
import * as R from './flow-record.js';
import type { FlowTable } from './flow-table.js';
import { FlowState } from './tcp-state.js';

export class IcmpRelation {
  readonly #table: FlowTable;
  readonly #quoted = new EmbeddedPacket();

  constructor(table: FlowTable) {
    this.#table = table;
  }

  /**
   * Find the flow an ICMP error belongs to; on success view.flowId is that flow and view.flowDir the direction in which
   * the error travels (against the packet it quotes).
   * @returns 0 = related, otherwise the DropReason
   */
  relate(view: PacketView, zone: number): number {
    const quoted = this.#quoted;
    const readable = view.ipVersion === 4 ? icmpEmbedded(view, quoted) : icmpv6Embedded(view, quoted);
    const table = this.#table;
    if (!readable || !table.key.fromEmbedded(quoted, view.buf, zone)) return DropReason.ct_invalid;
    // The error goes back to the sender of the quoted packet.
    if (quoted.src0 !== view.dst0 || quoted.src1 !== view.dst1 || quoted.src2 !== view.dst2 || quoted.src3 !== view.dst3) return DropReason.ct_invalid;
    const id = table.findKey();
    if (id < 0) return DropReason.ct_invalid;
    if (quoted.proto === PROTO_TCP && !this.#inFlight(id, table.foundDir)) return DropReason.ct_invalid_seq;
    view.flowId = id;
    view.flowDir = 1 - table.foundDir;
    return 0;
  }

  #inFlight(id: number, dir: number): boolean {
    const r = this.#table.records;
    const at = id * R.R_STRIDE;
    const state = r[at + R.R_STATE];
    if ((state & R.S_LIBERAL) !== 0 || (state & R.S_STATE) === FlowState.NONE) return true;
    const end = r[at + R.R_END_A + dir * 3];
    const window = Math.max(r[at + R.R_MAXWIN_A + (1 - dir) * 3], MIN_FLIGHT);
    return ((end - this.#quoted.seq) | 0) >= 0 && ((this.#quoted.seq - (end - window)) | 0) >= 0;
  }
}

/** Sequence numbers accepted as in flight when the peer's window is smaller or not known yet. */
const MIN_FLIGHT = 66_000;
