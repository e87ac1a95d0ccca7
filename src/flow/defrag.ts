/**
 * IP defragmentation (RFC 791 section 3.2, RFC 8200 section 4.5). Fragments come in one by one; when the last missing one
 * arrives the whole packet is built and decoded into a second view, to be judged like any other.
 *
 * Inline, earlier fragments have left by then, but the receiver can do nothing with them while the completing one is held
 * back: drop that one, call `condemn`, and nothing more of the datagram passes until receivers have given up on it.
 * Fragments that overlap with different bytes condemn their datagram (RFC 5722; receivers disagree on who wins). Passive,
 * a policy decides which bytes a receiver of that kind would have seen.
 *
 * Datagrams that passed whole are remembered for as long as receivers wait, and further fragments under their number refused:
 * a receiver that missed one of the first (or forgot it before we did) would build another datagram from the late one. The
 * price is a datagram whose sender uses a number again within that time.
 *
 * The table never evicts: forgetting a datagram whose first fragments passed would let the rest pass unseen. When it is
 * full, or one switch port holds its share, new datagrams are refused; the timeout makes room.
 */
import { decode, DecodeEvent, internetChecksum, LinkType, setEvent, type PacketView } from '../packet/index.js';
import { DropReason } from '../pipeline/index.js';
import { BUDGET_PORTS, Budgets } from './budget.js';
import { CompletedDatagrams } from './completed.js';
import { BytePool, copyRange, fmix32, mix32, putBe16, TimerWheel } from '../util/index.js';
import { Datagram, MAX_FRAGMENT_HEADER, type OverlapPolicy } from './datagram.js';

/** Answers of Defragmenter.add. */
export const DefragResult = {
  /** Kept; the fragment may pass (inline) and there is nothing to judge yet. */
  WAIT: 0,
  /** This fragment completed its datagram: the whole packet is in the second view. */
  COMPLETE: 1,
  /** Contradicts an earlier fragment; view.reason = defrag_overlap. */
  OVERLAP: 2,
  /** Impossible or condemned; view.reason says why. */
  INVALID: 3,
  /** No room; view.reason = defrag_memcap, or defrag_budget when only the owner has none left. */
  MEMCAP: 4,
} as const;
export type DefragResult = (typeof DefragResult)[keyof typeof DefragResult];

export interface DefragOptions {
  /** Condemn datagrams whose fragments contradict each other. Otherwise `policy` picks the bytes. Default true. */
  readonly inline?: boolean;
  /** Passive overlap policy. Default 'windows'. */
  readonly policy?: OverlapPolicy;
  /** Random per process. Default 0. */
  readonly seed?: number;
  /** Datagrams under way. Default 4096. */
  readonly maxDatagrams?: number;
  /** Largest share (0..1] of datagrams and memory that one switch port may hold. Default 1. */
  readonly portShare?: number;
  /** Who shares which limits. Default: every port by itself, without limits beside portShare. */
  readonly budgets?: Budgets;
  /** Fragments of one datagram. Default 1200: a datagram of 64 KiB in fragments of 64 bytes. */
  readonly maxFragments?: number;
  /** Bytes of all datagrams together. Default 32 MiB. */
  readonly memcap?: number;
  /** Seconds until an unfinished datagram is forgotten; at least as long as receivers wait. Default 60. */
  readonly timeout?: number;
  /** Smallest first fragment in bytes, IP header included; 0 = any. Default 0. */
  readonly minFirstFragment?: number;
  /** Smallest fragment offset other than 0, in bytes; 0 = any. Default 0. */
  readonly minOffset?: number;
}

/** Completed datagrams remembered. Few enough that a sender who counts through 65536 numbers never meets its own past. */
const COMPLETED = 16_384;
/** Makes the second hash of a key differ from the first. */
const CHECK = 0x5bd1_e995;
const MAX_IP_PACKET = 65_535;
const MIN_IPV4_HEADER = 20;
const WHEEL_SECONDS = 128;

export class Defragmenter {
  /** Datagrams in the table, condemned ones included. */
  active = 0;
  /** Counters since construction. */
  fragments = 0;
  completed = 0;
  timedOut = 0;
  overlaps = 0;
  invalid = 0;
  memcapHits = 0;
  readonly pool: BytePool;

  readonly #inline: boolean;
  readonly #policy: OverlapPolicy;
  readonly #seed: number;
  readonly #maxDatagrams: number;
  readonly #portLimit: number;
  readonly #maxFragments: number;
  readonly #timeout: number;
  readonly #minFirst: number;
  readonly #minOffset: number;
  readonly #heads: Int32Array;
  readonly #datagrams: Datagram[] = [];
  readonly #free: number[] = [];
  /** By budget row. */
  readonly #byPort = new Int32Array(BUDGET_PORTS);
  readonly #bytesByPort = new Float64Array(BUDGET_PORTS);
  readonly #budgets: Budgets;
  /** The last refusal was for the owner's own share, not for the table. */
  #overShare = false;
  readonly #portBytes: number;
  readonly #wheel: TimerWheel;
  readonly #whole = new Uint8Array(MAX_IP_PACKET + MAX_FRAGMENT_HEADER);
  /** The datagram completed last: stays in the table until the next call, so that condemn() can keep it there. */
  #last = -1;
  readonly #done: CompletedDatagrams;

  constructor(options: DefragOptions = {}) {
    this.#inline = options.inline ?? true;
    this.#policy = options.policy ?? 'windows';
    this.#seed = options.seed ?? 0;
    this.#done = new CompletedDatagrams(this.#inline ? COMPLETED : 0);
    this.#maxDatagrams = options.maxDatagrams ?? 4096;
    this.#portLimit = Math.max(1, Math.floor(this.#maxDatagrams * (options.portShare ?? 1)));
    this.#maxFragments = options.maxFragments ?? 1200;
    this.#timeout = options.timeout ?? 60;
    this.#minFirst = options.minFirstFragment ?? 0;
    this.#minOffset = options.minOffset ?? 0;
    this.#budgets = options.budgets ?? new Budgets();
    const memcap = options.memcap ?? 32 << 20;
    this.#portBytes = memcap * (options.portShare ?? 1);
    this.pool = new BytePool(memcap, 2048);
    this.#heads = new Int32Array(2 ** Math.ceil(Math.log2(this.#maxDatagrams * 2))).fill(-1);
    this.#wheel = new TimerWheel(this.#maxDatagrams, WHEEL_SECONDS, (index, now) => this.#due(index, now));
  }

  /**
   * Take a fragment (`view.fragment` is true). Notes the decoder events of fragments in `view`.
   * @param whole filled by COMPLETE: the packet as it was before fragmentation, in a buffer that stays valid until the
   *              next call; port, time, frame number, MACs and tags are those of this fragment, `desc` is -1
   */
  add(view: PacketView, whole: PacketView, zone = 0): DefragResult {
    this.fragments++;
    if (this.#last >= 0) this.#forgetLast();
    const headerLen = view.ipHdrLen;
    const at = view.l3Off + headerLen;
    const start = view.fragOff;
    const more = (view.ipFlags & 1) !== 0;
    let len = view.ipEnd - at;
    // All but the last fragment carry multiples of eight bytes; receivers cut or refuse others (RFC 8200 section 4.5).
    if (more && (len & 7) !== 0) {
      if (this.#inline) return this.#refuse(view, null);
      len &= ~7;
    }
    const end = start + len;
    const v4 = view.ipVersion === 4;
    if ((v4 ? MIN_IPV4_HEADER : 0) + end > MAX_IP_PACKET) setEvent(view, v4 ? DecodeEvent['ipv4.frag_pkt_too_large'] : DecodeEvent['ipv6.frag_pkt_too_large']);
    if (len <= 0 || headerLen + end > MAX_IP_PACKET) return this.#refuse(view, null);
    if (start === 0 ? headerLen + len < this.#minFirst && more : start < this.#minOffset) return this.#refuse(view, null);
    let index = this.#find(view, zone);
    if (index < 0 && this.#done.has(this.#hash(view, this.#meta(view, zone)), this.#check(view, zone), view.tsSec)) return this.#refuse(view, null);
    if (index < 0) index = this.#create(view, zone);
    if (index < 0) return this.#noRoom(view);
    const d = this.#datagrams[index];
    if (d.condemned !== 0) {
      view.reason = d.condemned;
      return DefragResult.INVALID;
    }
    if (d.overlaps(start, end)) setEvent(view, v4 ? DecodeEvent['ipv4.frag_overlap'] : DecodeEvent['ipv6.frag_overlap']);
    if (!lengthAgrees(d, end, more)) return this.#refuse(view, d);
    if (d.contradicts(start, end, view.buf, at)) {
      this.overlaps++;
      if (this.#inline) {
        view.reason = DropReason.defrag_overlap;
        this.#condemn(d, view.reason);
        return DefragResult.OVERLAP;
      }
    }
    if (!this.#reserve(d, end)) return this.#noRoom(view);
    if (!d.place(start, end, view.buf, at, this.#policy)) return this.#refuse(view, d);
    if (!more) d.total = end;
    if (start === 0 && d.headerLen === 0 && !this.#keepHeader(d, view)) return this.#refuse(view, d);
    if (d.covered !== d.total) return DefragResult.WAIT;
    this.#build(d, view, whole, zone);
    this.completed++;
    this.#giveBack(d);
    this.#done.add(d.hash, this.#check(view, zone), view.tsSec + this.#timeout);
    this.#last = index;
    return DefragResult.COMPLETE;
  }

  /** The packet completed by the last `add` was dropped: let nothing more of its datagram pass. */
  condemn(reason: number): void {
    if (this.#last >= 0) this.#condemn(this.#datagrams[this.#last], reason);
    this.#last = -1;
  }

  /** Forget datagrams whose time is over. @returns datagrams looked at */
  expire(nowSec: number, budget: number): number {
    return this.#wheel.advance(nowSec, budget);
  }

  // ---- checks ----------------------------------------------------------------------------------------------------

  #refuse(view: PacketView, d: Datagram | null): DefragResult {
    this.invalid++;
    view.reason = DropReason.defrag_invalid;
    if (d !== null && this.#inline) this.#condemn(d, view.reason);
    return DefragResult.INVALID;
  }

  #noRoom(view: PacketView): DefragResult {
    this.memcapHits++;
    setEvent(view, view.ipVersion === 4 ? DecodeEvent['ipv4.frag_ignored'] : DecodeEvent['ipv6.frag_ignored']);
    view.reason = this.#overShare ? DropReason.defrag_budget : DropReason.defrag_memcap;
    return DefragResult.MEMCAP;
  }

  #condemn(d: Datagram, reason: number): void {
    d.condemned = reason;
    this.#giveBack(d);
  }

  /** Room for the bytes up to `end`, within the pool and the share of the port. */
  #reserve(d: Datagram, end: number): boolean {
    const before = d.data.length;
    if (end <= before) return true;
    const wanted = this.#bytesByPort[d.port] - before + end;
    this.#overShare = wanted > this.#portBytes || wanted > this.#budgets.fragmentBytes[d.port];
    if (this.#overShare || !d.reserve(end, this.pool)) return false;
    this.#bytesByPort[d.port] += d.data.length - before;
    return true;
  }

  #giveBack(d: Datagram): void {
    this.#bytesByPort[d.port] -= d.data.length;
    d.giveBack(this.pool);
  }

  // ---- the whole packet --------------------------------------------------------------------------------------------

  /** Header of the first fragment as it will stand in front of the whole. @returns false when it is too long */
  #keepHeader(d: Datagram, view: PacketView): boolean {
    const len = view.ipVersion === 4 ? view.ipHdrLen : view.fragHdrOff - view.l3Off;
    if (len > MAX_FRAGMENT_HEADER) return false;
    copyRange(view.buf, view.l3Off, len, d.header, 0);
    // RFC 8200 section 4.5: the header in front of the fragment header takes over its next-header value.
    if (view.ipVersion === 6) d.header[view.fragPrevOff - view.l3Off] = view.fragNext;
    d.headerLen = len;
    return true;
  }

  #build(d: Datagram, view: PacketView, whole: PacketView, zone: number): void {
    const out = this.#whole;
    const { headerLen, total } = d;
    copyRange(d.header, 0, headerLen, out, 0);
    copyRange(d.data, 0, total, out, headerLen);
    if (view.ipVersion === 4) {
      putBe16(out, 2, headerLen + total);
      putBe16(out, 6, 0);
      putBe16(out, 10, 0);
      putBe16(out, 10, internetChecksum(out, 0, headerLen));
    } else {
      putBe16(out, 4, headerLen - 40 + total);
    }
    decode(whole, out, 0, headerLen + total, LinkType.RAW);
    whole.ingress = view.ingress;
    whole.egress = view.egress;
    whole.tsSec = view.tsSec;
    whole.tsUsec = view.tsUsec;
    whole.frameNo = view.frameNo;
    whole.srcMacHi = view.srcMacHi;
    whole.srcMacLo = view.srcMacLo;
    whole.dstMacHi = view.dstMacHi;
    whole.dstMacLo = view.dstMacLo;
    whole.vlanCount = view.vlanCount;
    whole.vlan0 = view.vlan0;
    whole.vlan1 = view.vlan1;
    whole.vlan2 = view.vlan2;
    whole.zone = zone;
    whole.tunnelDepth = view.tunnelDepth;
    // A fragment of a packet whose checksum was left to the card cannot be judged by it.
    whole.csumPartial = view.csumPartial;
    whole.csumValid = view.csumValid;
  }

  // ---- the table ---------------------------------------------------------------------------------------------------

  #hash(view: PacketView, meta: number): number {
    let h = mix32(mix32(mix32(mix32(this.#seed, view.ipId), meta), view.src0), view.dst0);
    if (view.ipVersion === 6) h = mix32(mix32(mix32(mix32(mix32(mix32(h, view.src1), view.src2), view.src3), view.dst1), view.dst2), view.dst3);
    return fmix32(h);
  }

  /** A second hash of the key, independent of the first. */
  #check(view: PacketView, zone: number): number {
    return this.#hash(view, this.#meta(view, zone) ^ CHECK);
  }

  /** RFC 791 keys by protocol too; RFC 8200 does not. */
  #meta(view: PacketView, zone: number): number {
    return (view.ipVersion === 4 ? view.proto : 0x100) | (zone << 9);
  }

  #find(view: PacketView, zone: number): number {
    const meta = this.#meta(view, zone);
    const hash = this.#hash(view, meta);
    for (let i = this.#heads[hash & (this.#heads.length - 1)]; i >= 0; i = this.#datagrams[i].next) {
      const d = this.#datagrams[i];
      if (
        d.hash === hash &&
        d.ipId === view.ipId &&
        d.meta === meta &&
        d.src0 === view.src0 &&
        d.dst0 === view.dst0 &&
        d.src1 === view.src1 &&
        d.dst1 === view.dst1 &&
        d.src2 === view.src2 &&
        d.dst2 === view.dst2 &&
        d.src3 === view.src3 &&
        d.dst3 === view.dst3
      )
        return i;
    }
    return -1;
  }

  #create(view: PacketView, zone: number): number {
    const port = this.#budgets.row(view.ingress);
    this.#overShare = this.#byPort[port] >= this.#portLimit || this.#byPort[port] >= this.#budgets.datagrams[port];
    if (this.#overShare || this.active >= this.#maxDatagrams) return -1;
    let index = this.#free.pop();
    if (index === undefined) {
      index = this.#datagrams.length;
      this.#datagrams.push(new Datagram(this.#maxFragments));
    }
    const d = this.#datagrams[index];
    d.meta = this.#meta(view, zone);
    d.hash = this.#hash(view, d.meta);
    d.src0 = view.src0;
    d.src1 = view.src1;
    d.src2 = view.src2;
    d.src3 = view.src3;
    d.dst0 = view.dst0;
    d.dst1 = view.dst1;
    d.dst2 = view.dst2;
    d.dst3 = view.dst3;
    d.ipId = view.ipId;
    d.port = port;
    d.restart();
    d.deadline = view.tsSec + this.#timeout;
    const bucket = d.hash & (this.#heads.length - 1);
    d.next = this.#heads[bucket];
    this.#heads[bucket] = index;
    this.active++;
    this.#byPort[port]++;
    this.#wheel.arm(index, d.deadline, view.tsSec);
    return index;
  }

  #due(index: number, now: number): number {
    const d = this.#datagrams[index];
    if (d.deadline > now) return d.deadline;
    if (d.condemned === 0 && this.#last !== index) this.timedOut++;
    if (this.#last === index) this.#last = -1;
    this.#remove(index);
    return -1;
  }

  #forgetLast(): void {
    this.#wheel.cancel(this.#last);
    this.#remove(this.#last);
    this.#last = -1;
  }

  #remove(index: number): void {
    const d = this.#datagrams[index];
    this.#giveBack(d);
    const bucket = d.hash & (this.#heads.length - 1);
    if (this.#heads[bucket] === index) {
      this.#heads[bucket] = d.next;
    } else {
      let before = this.#datagrams[this.#heads[bucket]];
      while (before.next !== index) before = this.#datagrams[before.next];
      before.next = d.next;
    }
    this.active--;
    this.#byPort[d.port]--;
    this.#free.push(index);
  }
}

/** The last fragment fixes the length; nothing lies behind it and no other fragment ends elsewhere. */
function lengthAgrees(d: Datagram, end: number, more: boolean): boolean {
  if (d.total >= 0) return more ? end <= d.total : end === d.total;
  return more || end >= d.highest;
}
