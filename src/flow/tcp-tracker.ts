/**
 * TCP state and window tracking of one flow record, both directions (RFC 9293 sections 3.3.2, 3.4 and 3.10; window checks
 * after van Rooij, "Real stateful TCP packet filtering in IP Filter", as netfilter uses them, with its leniencies: one
 * window of old data, late acknowledgements, keep-alive probes, retransmitted handshakes).
 *
 * An in-path tracker cannot know which segments arrived. It therefore keeps, per direction, the highest sequence number
 * sent (END), the highest one the peer allows (MAXEND) and the largest window the sender offered (MAXWIN), and accepts
 * what could be honest under those bounds.
 */
import { TCP_ACK, TCP_FIN, TCP_OPT_TIMESTAMP, TCP_SYN, type PacketView } from '../packet/index.js';
import { DropReason } from '../pipeline/index.js';
import * as R from './flow-record.js';
import type { FlowTable } from './flow-table.js';
import { StreamEvent, type StreamEvents } from './stream-event.js';
import { before, SEG_ACK, SEG_FIN, SEG_INVALID, SEG_RST, SEG_SYN, SEG_SYNACK, segmentClass, segmentEnd } from './tcp-segment.js';
import { FlowState } from './tcp-state.js';

/** An acknowledgement may lag this far behind, or one window if that is more (netfilter's bound). */
const MAX_ACK_LAG = 66_000;
/** Different SYNs of one connection attempt that raise no event (Suricata: stream.max-syn-queued). */
const MAX_QUEUED_SYNS = 10;
const NO_WINDOW = 0x7fff_ffff;

export class TcpTracker {
  readonly #table: FlowTable;
  readonly #records: Int32Array;
  readonly #events: StreamEvents;
  readonly #strict: boolean;
  readonly #asyncOneside: boolean;

  /**
   * @param strict refuse what cannot be honest; otherwise note an event, and follow the stream as well as possible
   * @param asyncOneside follow a connection of which only the originator's packets are seen
   */
  constructor(table: FlowTable, events: StreamEvents, strict: boolean, asyncOneside: boolean) {
    this.#table = table;
    this.#records = table.records;
    this.#events = events;
    this.#strict = strict;
    this.#asyncOneside = asyncOneside;
  }

  /**
   * Fill the record of a flow that begins with this segment, travelling in direction `dir` (1 only for a SYN+ACK picked
   * up midstream, whose record was made the right way round).
   */
  start(id: number, dir: number, view: PacketView): void {
    const r = this.#records;
    const at = id * R.R_STRIDE;
    const s = at + R.R_END_A + dir * 3;
    const o = at + R.R_END_A + (1 - dir) * 3;
    const end = segmentEnd(view);
    this.#noteFlags(at, dir, view.tcpFlags);
    r[s] = end;
    r[s + 2] = Math.max(view.window, 1);
    if (segmentClass(view.tcpFlags) === SEG_SYN) {
      // Until the answer comes MAXEND holds the lowest acknowledgement that makes sense: the SYN without its data.
      r[s + 1] = (view.seq + 1) | 0;
      r[o] = 0;
      r[o + 1] = 0;
      r[o + 2] = 0;
      this.#noteSyn(o, view, false);
      this.#noteIsn(at, dir, view);
      this.#setScale(at, dir, view.wscale < 0 ? R.SCALE_NONE : view.wscale);
      return;
    }
    this.#records[at + R.R_STATE] |= R.S_LIBERAL;
    r[s + 1] = (end + r[s + 2]) | 0;
    if ((view.tcpFlags & TCP_ACK) !== 0) {
      r[o] = view.ack;
      r[o + 1] = (view.ack + r[s + 2]) | 0;
    }
  }

  /**
   * Judge a segment of a known flow and move its state on.
   * @returns 0 = valid, otherwise the DropReason of an invalid one (strict mode only)
   */
  update(id: number, dir: number, view: PacketView): number {
    const flags = view.tcpFlags;
    const cls = segmentClass(flags);
    const r = this.#records;
    const at = id * R.R_STRIDE;
    const word = r[at + R.R_STATE];
    const state = word & R.S_STATE;
    // The common case first: established, no handshake or closing flag.
    if (cls === SEG_ACK && state === FlowState.ESTABLISHED) {
      const bad = this.#window(at, dir, view, word, state);
      this.#noteFlags(at, dir, flags);
      return bad;
    }
    if (cls === SEG_INVALID) {
      if ((flags & (TCP_FIN | TCP_SYN)) === (TCP_FIN | TCP_SYN)) this.#events.add(StreamEvent.fin_syn);
      this.#noteFlags(at, dir, flags);
      return this.#strict ? DropReason.ct_invalid_flags : 0;
    }
    const bad = this.#transition(id, at, dir, view, cls, word, state);
    if (bad === 0) this.#noteFlags(at, dir, flags);
    return bad;
  }

  /** All but ACK segments of an established connection. */
  #transition(id: number, at: number, dir: number, view: PacketView, cls: number, word: number, state: number): number {
    if (state === FlowState.NONE) return 0;
    if (state === FlowState.SYN_SENT && dir === 1 && !this.#echoesTimestamp(at, view)) {
      this.#events.add(StreamEvent.pkt_invalid_timestamp);
      this.#events.outOfWindow = true;
      return this.#strict ? DropReason.ct_invalid_seq : 0;
    }
    switch (cls) {
      case SEG_SYN:
        return this.#syn(id, at, dir, view, word, state);
      case SEG_SYNACK:
        return this.#synAck(id, at, dir, view, word, state);
      case SEG_RST:
        return this.#rst(id, at, dir, view, word, state);
      default:
        return this.#ack(id, at, dir, view, cls, word, state);
    }
  }

  /**
   * Remember a SYN until the answer. The other side has no window yet, so its words of the record hold the timestamps of
   * the first and the last SYN (END, MAXEND), and in MAXWIN whether there were any and how many different SYNs followed.
   */
  #noteSyn(o: number, view: PacketView, different: boolean): void {
    const r = this.#records;
    const stamped = (view.tcpOptions & TCP_OPT_TIMESTAMP) !== 0;
    if (stamped) {
      if ((r[o + 2] & 1) === 0) r[o] = view.tsVal;
      r[o + 1] = view.tsVal;
      r[o + 2] |= 1;
    }
    if (!different) return;
    if (r[o + 2] >>> 1 >= MAX_QUEUED_SYNS) this.#events.add(StreamEvent['3whs_syn_flood']);
    else r[o + 2] += 2;
  }

  /** Does the answer to a SYN echo the timestamp of one that was sent (RFC 7323 section 3.2)? */
  #echoesTimestamp(at: number, view: PacketView): boolean {
    if ((view.tcpOptions & TCP_OPT_TIMESTAMP) === 0 || view.tsEcr === 0) return true;
    const r = this.#records;
    if ((r[at + R.R_MAXWIN_B] & 1) === 0) return false;
    return !before(view.tsEcr, r[at + R.R_END_B]) && !before(r[at + R.R_MAXEND_B], view.tsEcr);
  }

  /** Reassembly begins with it when the flow gets its object only later (StreamEngine). */
  #noteIsn(at: number, dir: number, view: PacketView): void {
    if (dir !== 0) return;
    this.#records[at + R.R_ISN_A] = (view.seq + 1) | 0;
    this.#records[at + R.R_MARKS] |= R.M_ISN;
  }

  #syn(id: number, at: number, dir: number, view: PacketView, word: number, state: number): number {
    const r = this.#records;
    const s = at + R.R_END_A + dir * 3;
    if (state === FlowState.SYN_SENT || state === FlowState.SYN_SENT2) {
      // A retransmission, possibly of a new attempt under another sequence number; or the other half of a simultaneous open.
      if (dir === 1 && state === FlowState.SYN_SENT) this.#table.setState(id, FlowState.SYN_SENT2, view.tsSec);
      if (dir === 0 && state === FlowState.SYN_SENT) this.#noteSyn(at + R.R_END_B, view, segmentEnd(view) !== r[s]);
      r[s] = segmentEnd(view);
      r[s + 1] = (view.seq + 1) | 0;
      r[s + 2] = Math.max(view.window, 1);
      this.#noteIsn(at, dir, view);
      this.#setScale(at, dir, view.wscale < 0 ? R.SCALE_NONE : view.wscale);
      return 0;
    }
    // A SYN on a live connection changes nothing: the host answers it with a challenge ACK (RFC 5961 section 4).
    if (state === FlowState.SYN_RECV) {
      if (dir === 1) this.#events.add(StreamEvent['3whs_syn_toclient_on_syn_recv']);
      else if (segmentEnd(view) !== r[s]) this.#events.add(StreamEvent['3whs_syn_resend_diff_seq_on_syn_recv']);
    } else if (state === FlowState.ESTABLISHED) {
      if (dir === 1) this.#events.add(StreamEvent.est_syn_toclient);
      else if (before(r[s], segmentEnd(view))) this.#events.add(StreamEvent.est_syn_resend_diff_seq);
      else this.#events.add(StreamEvent.est_syn_resend);
    } else {
      this.#events.add(StreamEvent.shutdown_syn_resend);
    }
    this.#events.outOfWindow = true;
    // While the handshake runs, a second SYN under another number from the same end is the split-handshake trick.
    return this.#strict && (word & R.S_LIBERAL) === 0 && state === FlowState.SYN_RECV && dir === 1 ? DropReason.ct_invalid : 0;
  }

  #synAck(id: number, at: number, dir: number, view: PacketView, word: number, state: number): number {
    const r = this.#records;
    const s = at + R.R_END_A + dir * 3;
    const o = at + R.R_END_A + (1 - dir) * 3;
    // In a simultaneous open either side may be the first to acknowledge.
    const expected = dir === 1 ? state === FlowState.SYN_SENT || state === FlowState.SYN_SENT2 : state === FlowState.SYN_SENT2;
    if (expected) {
      if (before(view.ack, r[o + 1]) || before(r[o], view.ack)) {
        this.#events.add(StreamEvent['3whs_synack_with_wrong_ack']);
        this.#events.outOfWindow = true;
        return this.#strict ? DropReason.ct_invalid_seq : 0;
      }
      // Only data of a fast open make END and MAXEND of a SYN differ (RFC 7413 section 4.2).
      if (view.ack === r[o + 1] && r[o] !== view.ack) this.#events.add(StreamEvent['3whs_synack_tfo_data_ignored']);
      const end = segmentEnd(view);
      r[s] = end;
      r[s + 1] = (view.seq + 1) | 0;
      r[s + 2] = Math.max(view.window, 1);
      r[o + 1] = (view.ack + view.window) | 0;
      // RFC 7323 section 2.2: both SYNs must carry the option, otherwise neither side scales.
      const peerScale = (word >>> (dir === 1 ? R.S_SCALE_A : R.S_SCALE_B)) & 0xf;
      const scaled = view.wscale >= 0 && peerScale !== R.SCALE_NONE;
      this.#setScale(at, dir, scaled ? view.wscale : 0);
      this.#setScale(at, 1 - dir, scaled ? peerScale : 0);
      // In a simultaneous open the SYNs have crossed already; the other side's SYN+ACK is only a late copy of its SYN.
      this.#table.setState(id, state === FlowState.SYN_SENT2 ? FlowState.ESTABLISHED : FlowState.SYN_RECV, view.tsSec);
      return 0;
    }
    const sameSeq = !before(r[s], segmentEnd(view));
    if (dir === 0 && (word & R.S_LIBERAL) === 0 && !(sameSeq && state === FlowState.ESTABLISHED)) {
      if (state === FlowState.ESTABLISHED) this.#events.add(StreamEvent.est_synack_toserver);
      else this.#events.add(StreamEvent['3whs_synack_in_wrong_direction']);
      this.#events.outOfWindow = true;
      return this.#strict ? DropReason.ct_invalid : 0;
    }
    // A retransmission because our side's ACK was lost, or something else under its guise.
    if (state === FlowState.SYN_RECV) {
      if (!sameSeq) this.#events.add(StreamEvent['3whs_synack_resend_with_diff_seq']);
      else if (before(r[o], view.ack)) this.#events.add(StreamEvent['3whs_synack_resend_with_different_ack']);
    } else if (state === FlowState.ESTABLISHED) {
      this.#events.add(sameSeq ? StreamEvent.est_synack_resend : StreamEvent.est_synack_resend_with_diff_seq);
    }
    this.#events.outOfWindow = !sameSeq;
    // In a simultaneous open the second SYN+ACK is the first word about its sender's window.
    if (segmentEnd(view) === r[s] && state === FlowState.ESTABLISHED && !before(r[o], view.ack)) {
      const allowed = (view.ack + view.window) | 0;
      if (before(r[o + 1], allowed)) r[o + 1] = allowed;
    }
    if (!this.#strict || (word & R.S_LIBERAL) !== 0) return 0;
    // Older numbers are late copies only until the handshake is done; later they belong to a connection we know nothing of.
    const isCopy = sameSeq && (state === FlowState.SYN_RECV || segmentEnd(view) === r[s]);
    return isCopy ? 0 : DropReason.ct_invalid_seq;
  }

  #rst(id: number, at: number, dir: number, view: PacketView, word: number, state: number): number {
    const r = this.#records;
    const s = at + R.R_END_A + dir * 3;
    const o = at + R.R_END_A + (1 - dir) * 3;
    if (state === FlowState.CLOSE) return 0;
    if (state === FlowState.SYN_SENT && dir === 1) {
      // RFC 9293 section 3.10.7.3: a reset that answers a SYN is valid only if it acknowledges it.
      if ((view.tcpFlags & TCP_ACK) === 0 || before(view.ack, r[o + 1]) || before(r[o], view.ack)) return this.#badRst();
      this.#table.setState(id, FlowState.CLOSE, view.tsSec);
      return 0;
    }
    // Who resets what answers its SYN refuses a stray segment (RFC 9293 section 3.10.7.3); the attempt goes on.
    if (!this.#strict && state === FlowState.SYN_SENT && view.seq === r[s + 1]) return 0;
    if ((word & R.S_LIBERAL) === 0) {
      // A reset may repeat the last data as text (RFC 9293 section 3.10.7.4 only looks at SEG.SEQ).
      const window = r[o + 2] === 0 || state === FlowState.SYN_SENT ? NO_WINDOW : r[o + 2];
      if (before(r[s + 1], view.seq) || before(view.seq, (r[s] - window) | 0)) return this.#badRst();
      if ((view.tcpFlags & TCP_ACK) !== 0 && view.ack !== 0 && before(r[o], view.ack)) return this.#badRst();
      if (this.#strict && view.seq !== r[s] && state !== FlowState.SYN_RECV) {
        // RFC 5961 section 3.2: the host answers an inexact reset with a challenge ACK and stays open; so do we, or
        // whoever guesses a number inside the window could end inspection of a connection that goes on.
        this.#table.mark(id, R.M_INEXACT_RST);
        this.#events.add(StreamEvent.suspected_rst_inject);
        return 0;
      }
    }
    this.#table.setState(id, FlowState.CLOSE, view.tsSec);
    return 0;
  }

  #badRst(): number {
    this.#events.add(StreamEvent.rst_invalid_ack);
    this.#events.outOfWindow = true;
    return this.#strict ? DropReason.ct_invalid_seq : 0;
  }

  /** ACK and FIN outside ESTABLISHED, FIN inside. */
  #ack(id: number, at: number, dir: number, view: PacketView, cls: number, word: number, state: number): number {
    const r = this.#records;
    const s = at + R.R_END_A + dir * 3;
    const o = at + R.R_END_A + (1 - dir) * 3;
    switch (state) {
      case FlowState.SYN_SENT:
      case FlowState.SYN_SENT2:
        if (dir === 0 && this.#asyncOneside && view.seq === r[s]) {
          this.#records[at + R.R_STATE] |= R.S_LIBERAL;
          this.#table.setState(id, FlowState.ESTABLISHED, view.tsSec);
          return 0;
        }
        if (dir === 0) {
          this.#events.add(StreamEvent['3whs_ack_in_wrong_dir']);
          this.#events.outOfWindow = true;
          return this.#strict ? DropReason.ct_invalid : 0;
        }
        // A responder that still holds an old connection answers a SYN with a challenge ACK; the originator resets that one.
        this.#events.outOfWindow = true;
        return cls === SEG_ACK && view.payloadLen === 0 ? 0 : this.#strict ? DropReason.ct_invalid : 0;
      case FlowState.SYN_RECV:
        if (dir === 0 && (word & R.S_LIBERAL) === 0 && (before(view.ack, r[o + 1]) || before(r[o], view.ack))) {
          const rightSeq = view.seq === r[s];
          this.#events.add(StreamEvent[rightSeq ? '3whs_right_seq_wrong_ack_evasion' : '3whs_wrong_seq_wrong_ack']);
          this.#events.outOfWindow = true;
          return this.#strict ? DropReason.ct_invalid_seq : 0;
        }
        break;
      case FlowState.CLOSE:
        // In strict mode the ends have really let go of each other: only an exact reset comes here.
        this.#events.outOfWindow = true;
        return this.#strict ? DropReason.ct_invalid : 0;
      default:
        break;
    }
    const bad = this.#window(at, dir, view, word, state);
    if (bad !== 0 || this.#events.outOfWindow) return bad;
    let next = state;
    // Picked up at its SYN+ACK a connection may never show the other side.
    if (state === FlowState.SYN_RECV && (dir === 0 || (word & R.S_LIBERAL) !== 0)) next = FlowState.ESTABLISHED;
    if (cls === SEG_FIN) next = this.#finState(at, dir, state);
    // A FIN takes one sequence number, so END covers it: an acknowledgement of END acknowledges the FIN.
    if (next === FlowState.FIN_WAIT && dir !== this.#closer(at) && view.ack === r[o]) next = FlowState.CLOSE_WAIT;
    else if (state === FlowState.LAST_ACK && dir === this.#closer(at) && view.ack === r[o]) next = FlowState.TIME_WAIT;
    if (next !== state) this.#table.setState(id, next, view.tsSec);
    return 0;
  }

  /** State after a FIN in the window. */
  #finState(at: number, dir: number, state: number): number {
    switch (state) {
      case FlowState.FIN_WAIT:
      case FlowState.CLOSE_WAIT:
        return dir === this.#closer(at) ? state : FlowState.LAST_ACK;
      case FlowState.LAST_ACK:
      case FlowState.TIME_WAIT:
        return state;
      default:
        if (dir === 1) this.#records[at + R.R_STATE] |= R.S_CLOSER_B;
        else this.#records[at + R.R_STATE] &= ~R.S_CLOSER_B;
        return FlowState.FIN_WAIT;
    }
  }

  #closer(at: number): number {
    return (this.#records[at + R.R_STATE] & R.S_CLOSER_B) === 0 ? 0 : 1;
  }

  /** Check a segment with ACK against the window and learn from it. @returns 0 or a DropReason (strict mode) */
  #window(at: number, dir: number, view: PacketView, word: number, state: number): number {
    const r = this.#records;
    const s = at + R.R_END_A + dir * 3;
    const o = at + R.R_END_A + 3 - dir * 3;
    const seq = view.seq;
    const end = (seq + view.payloadLen + (view.tcpFlags & TCP_FIN)) | 0;
    const ack = view.ack;
    let peerWindow = r[o + 2];
    if ((word & R.S_LIBERAL) !== 0) {
      if (r[s + 2] === 0 || r[o + 2] === 0) this.#adopt(s, o, end, ack);
      peerWindow = NO_WINDOW;
      if (before(r[o], ack)) r[o] = ack;
      if (before(r[s + 1], end)) r[s + 1] = end;
    } else if (before(r[s + 1], seq) || !before((r[s] - peerWindow - 1) | 0, end)) {
      this.#outOfWindow(view, state);
      if (this.#strict) return DropReason.ct_invalid_seq;
      // What a capture has lost never comes back: the peer's word about how far it has come keeps the window moving.
      if (before(r[o + 1], ack)) r[o + 1] = ack;
      return 0;
    } else if (before(r[o], ack)) {
      this.#badAck(state);
      if (this.#strict) return DropReason.ct_invalid_seq;
      // Bytes that a capture has lost are acknowledged all the same; but nobody acknowledges more than it allowed.
      if (before(r[o + 1], ack)) {
        this.#events.outOfWindow = true;
        return 0;
      }
      r[o] = ack;
    } else if (!before((r[o] - Math.max(r[s + 2], MAX_ACK_LAG) - 1) | 0, ack)) {
      this.#events.add(StreamEvent.pkt_invalid_ack);
      this.#events.outOfWindow = true;
      return this.#strict ? DropReason.ct_invalid_seq : 0;
    }
    const win = view.window << ((word >>> (dir === 0 ? R.S_SCALE_A : R.S_SCALE_B)) & 0xf);
    if (win > r[s + 2]) r[s + 2] = win;
    if (before(r[s], end)) r[s] = end;
    // Sending past what was allowed is accepted once started inside; the peer evidently reads faster than it says.
    if (peerWindow !== 0 && before(r[s + 1], end)) r[o + 2] += (end - r[s + 1]) | 0;
    const allowed = (ack + win) | 0;
    if (!before(allowed, r[o + 1])) r[o + 1] = win === 0 ? (allowed + 1) | 0 : allowed;
    return 0;
  }

  /** First word from one side of a connection picked up midstream. */
  #adopt(s: number, o: number, end: number, ack: number): void {
    const r = this.#records;
    if (r[s + 2] === 0) {
      r[s] = end;
      r[s + 1] = end;
      r[s + 2] = 1;
    }
    if (r[o + 2] === 0) {
      r[o] = ack;
      r[o + 1] = ack;
    }
  }

  #outOfWindow(view: PacketView, state: number): void {
    this.#events.outOfWindow = true;
    const fin = (view.tcpFlags & TCP_FIN) !== 0;
    if (state === FlowState.CLOSE_WAIT) this.#events.add(StreamEvent.closewait_ack_out_of_window);
    else if (state === FlowState.LAST_ACK) this.#events.add(StreamEvent.lastack_ack_wrong_seq);
    else if (state === FlowState.TIME_WAIT) this.#events.add(StreamEvent.timewait_ack_wrong_seq);
    else if (state === FlowState.FIN_WAIT) this.#events.add(StreamEvent.fin1_ack_wrong_seq);
    else this.#events.add(fin ? StreamEvent.fin_out_of_window : StreamEvent.est_packet_out_of_window);
  }

  #badAck(state: number): void {
    this.#events.add(StreamEvent.pkt_invalid_ack);
    if (state === FlowState.ESTABLISHED) this.#events.add(StreamEvent.est_invalid_ack);
    else if (state === FlowState.CLOSE_WAIT) this.#events.add(StreamEvent.closewait_invalid_ack);
    else if (state === FlowState.FIN_WAIT) this.#events.add(StreamEvent.fin1_invalid_ack);
    else if (state === FlowState.LAST_ACK) this.#events.add(StreamEvent.lastack_invalid_ack);
    else if (state === FlowState.TIME_WAIT) this.#events.add(StreamEvent.timewait_invalid_ack);
  }

  #setScale(at: number, dir: number, scale: number): void {
    const shift = dir === 0 ? R.S_SCALE_A : R.S_SCALE_B;
    this.#records[at + R.R_STATE] = (this.#records[at + R.R_STATE] & ~(0xf << shift)) | (scale << shift);
  }

  #noteFlags(at: number, dir: number, flags: number): void {
    this.#records[at + R.R_STATE] |= (flags & 0xff) << (R.S_FLAGS_A + dir * 8);
  }
}
