/**
 * The learning switch: takes the received rows of a batch, decides where each frame goes, has it inspected, and queues
 * its copies. Order per frame: port state, port security, VLAN, reserved addresses, storm limit, learning, forwarding
 * decision, inspection, transmit rows. The first stage that refuses a frame names its one DropReason.
 *
 * Accounting: received = forwarded + consumed + drops by reason, per ingress port, after every processBatch
 * (Counters.unaccounted is 0). A copy that fails on output makes the frame a drop only when no other copy left.
 */
import {
  D_LEN,
  D_PORT,
  D_STRIDE,
  ETHERNET_HEADER_LEN,
  ETHERTYPE_QINQ,
  ETHERTYPE_VLAN,
  LinkType,
  PacketView,
  TAG_KEEP,
  decodeBatchRow,
  formatMac,
  isMulticastMac,
  parseMac,
  type FrameBatch,
} from '../packet/index.js';
import {
  Counters,
  DropReason,
  G_BATCHES,
  G_MACS,
  G_MAC_EVICTIONS,
  P_RX_BYTES,
  P_RX_FRAMES,
  P_RX_SEGMENTS,
  Verdict,
  isDrop,
} from '../pipeline/index.js';
import { be16, putBe16 } from '../util/index.js';
import { BatchAccounting } from './accounting.js';
import { AddressGuard } from './address-guard.js';
import { AddressTable } from './address-table.js';
import { deferTransportChecksum } from './checksum-offload.js';
import { egressRefusal } from './egress-policy.js';
import { EGRESS_MANY, type Inspector } from './inspector.js';
import { LEARN_MOVED, LEARN_STATIC, MacTable } from './mac-table.js';
import { PortTable } from './port-table.js';
import { checkIngress, isReservedMac } from './port-security.js';
import {
  BUCKETS,
  BUCKET_RX_BROADCAST,
  BUCKET_TX_BROADCAST,
  LOOP_BLOCK,
  LOOP_OFF,
  LOOP_SIGNS,
  STATE_LOOP,
  STATE_NAMES,
  STATE_UP,
  type SwitchPort,
  type PortState,
  type SwitchPortConfig,
} from './switch-port.js';
import type { FrameObserver, FrameOutput, PortEvent, PortInfo, SwitchOptions } from './switch-types.js';
import { Transmitter } from './transmitter.js';
import { MODE_TUNNEL } from './vlan.js';

const QUARANTINE = DropReason.switch_quarantine;
const NO_PORT = DropReason.switch_no_port;
const TOO_SHORT = DropReason.port_frame_too_short;
const MALFORMED = DropReason.decode_malformed;
const VLAN_INGRESS = DropReason.switch_vlan;
const RESERVED = DropReason.switch_reserved;
const HAIRPIN = DropReason.switch_hairpin;
const LOOP = DropReason.switch_loop;
const LOOP_BLOCKED = DropReason.switch_loop_blocked;
const BROADCAST_RATE = DropReason.port_broadcast_rate;
const MULTICAST_RATE = DropReason.port_multicast_rate;
const ENGINE_ERROR = DropReason.engine_error;

/** Results of the stages beside a DropReason. */
const QUEUED = 0;
const CONSUMED = -1;

export class Switch {
  readonly macs: MacTable;
  /** What IP discovery found. */
  readonly addresses: AddressTable;
  readonly accounting: BatchAccounting;
  /** Mirrors and the like. Add and remove between batches. */
  readonly observers: FrameObserver[] = [];
  private readonly batch: FrameBatch;
  private readonly counters: Counters;
  private readonly inspector: Inspector;
  private readonly out: Transmitter;
  private readonly guard: AddressGuard;
  private readonly onPortEvent: ((port: number, event: PortEvent) => void) | undefined;
  private readonly forwardReserved: boolean;
  private readonly onRefused: ((view: PacketView) => void) | undefined;
  private readonly view = new PacketView();
  private readonly ports: PortTable;
  /** Destinations of the frame being flooded. */
  private readonly targets: Int32Array;
  private nowSec = 0;
  private nowUsec = 0;
  private expiredSec = -1;
  /** Tag of the frame at hand: VLAN it is switched in, whether its outer tag is the switch's, priority bits. */
  private vlan = 0;
  private tagged = false;
  private pcp = 0;

  /**
   * @param ports by port index; undefined = index not in use
   * @param counters with at least as many rows as there will ever be ports; bounds the port indexes
   * @throws SyntaxError, RangeError for contradictory port settings
   */
  constructor(
    ports: readonly (SwitchPortConfig | undefined)[],
    batch: FrameBatch,
    counters: Counters,
    inspector: Inspector,
    output: FrameOutput,
    options: SwitchOptions = {},
  ) {
    this.batch = batch;
    this.counters = counters;
    this.inspector = inspector;
    this.forwardReserved = options.forwardReserved ?? false;
    this.onRefused = options.onRefused;
    this.macs = new MacTable(counters.ports, options.macTable);
    this.addresses = new AddressTable(counters.ports, options.macTable?.seed ?? 0);
    this.addresses.observer = options.onAddress ?? null;
    this.guard = new AddressGuard(this.addresses, this.macs);
    this.onPortEvent = options.onPortEvent;
    this.accounting = new BatchAccounting(batch.rows);
    this.out = new Transmitter(batch, counters, this.accounting, output, this.observers);
    this.targets = new Int32Array(counters.ports);
    this.ports = new PortTable(counters.ports, this.macs, this.addresses);
    this.configure(ports);
  }

  // ---- control plane (between batches) ---------------------------------------------------------------------------

  /**
   * Put a new set of ports in force. What was learned on ports that keep their name and VLANs stays learned, and what was
   * set at run time (quarantine, effective MAC) stays set.
   * @throws as the constructor; the old set stays in force then
   */
  configure(configs: readonly (SwitchPortConfig | undefined)[]): void {
    this.ports.configure(configs);
    this.guard.snoops = this.ports.table.some((port) => port?.discoversDhcp === true);
  }

  /** Take a port down, quarantine it, or bring it back. Entries learned on a port that is not up are forgotten. */
  setPortState(index: number, state: PortState): void {
    this.ports.setState(index, state);
  }

  /** Address the guest's adapter carries now, as the hypervisor tells (QEMU query-rx-filter `main-mac`). @throws SyntaxError */
  setEffectiveMac(index: number, mac: string): void {
    const { hi, lo } = parseMac(mac);
    this.ports.at(index).setEffectiveMac(hi, lo);
  }

  /** The port is being denied traffic because its guest changed its MAC. */
  isMacChanged(index: number): boolean {
    const port = this.ports.at(index);
    return port.macChangeReject && port.macChanged;
  }

  /** A port as operators see it. @throws RangeError */
  portInfo(index: number): PortInfo {
    const port = this.ports.at(index);
    const macs: string[] = [];
    port.forEachMac((hi, lo) => macs.push(formatMac(hi, lo)));
    const words: number[] = [];
    port.forEachMac((hi, lo) => words.push(hi, lo));
    return { state: STATE_NAMES[port.state]!, vlans: port.passive || port.wire >= 0 ? [] : port.vlan.list(), macs, macWords: words, macChanged: this.isMacChanged(index) };
  }

  // ---- packet path -------------------------------------------------------------------------------------------------

  /**
   * Switch the received rows of the batch and flush everything that is to leave.
   * @param nowSec seconds of any clock that moves on (ageing); whole numbers
   * @param nowUsec microseconds within the second (storm limits)
   */
  processBatch(nowSec: number, nowUsec = 0): void {
    const { batch, counters, accounting } = this;
    const rows = batch.rxCount;
    this.nowSec = nowSec;
    this.nowUsec = nowUsec;
    if (nowSec !== this.expiredSec) {
      this.expiredSec = nowSec;
      this.macs.expire(nowSec);
      this.addresses.expire(nowSec);
      if (this.ports.blocked) this.unblock(nowSec);
    }
    accounting.begin(rows);
    for (let row = 0; row < rows; row++) {
      const result = this.receive(row);
      if (result > 0) accounting.drop(row, result);
      else if (result === CONSUMED) accounting.consume(row);
    }
    this.out.flush();
    for (let row = 0; row < rows; row++) this.settle(row);
    counters.add(G_BATCHES, 1);
    counters.set(G_MACS, this.macs.count);
    counters.set(G_MAC_EVICTIONS, this.macs.evicted);
  }

  private settle(row: number): void {
    const port = this.batch.desc[row * D_STRIDE + D_PORT]!;
    const accounting = this.accounting;
    accounting.settle(row, port, this.counters);
    for (let i = 0; i < this.observers.length; i++) {
      this.observers[i]!.ingress(this.batch, row, port, accounting.vlan[row]!, accounting.outcome[row]!, accounting.reason[row]!);
    }
  }

  /** @returns QUEUED, CONSUMED or the DropReason of row `row` */
  private receive(row: number): number {
    const { batch, counters, view } = this;
    const d = row * D_STRIDE;
    const index = batch.desc[d + D_PORT]!;
    decodeBatchRow(view, batch, row);
    counters.addPort(index, P_RX_FRAMES, 1);
    counters.addPort(index, P_RX_BYTES, batch.desc[d + D_LEN]!);
    counters.addPort(index, P_RX_SEGMENTS, segments(view));
    const port = this.ports.table[index];
    this.vlan = 0;
    const refused = port === undefined ? QUARANTINE : this.refuse(port);
    if (refused !== 0) {
      view.verdict = Verdict.DROP;
      view.reason = refused;
      if (this.onRefused !== undefined) this.onRefused(view);
      return refused;
    }
    if (port!.passive) return this.consume();
    if (port!.wire >= 0) return this.sendByWire(row, port!.wire);
    this.accounting.vlan[row] = this.vlan;
    return isMulticastMac(view.dstMacHi) ? this.flood(row, port!, true) : this.sendUnicast(row, port!);
  }

  /** Everything that is decided before the destination is looked up. @returns DropReason, 0 = goes on */
  private refuse(port: SwitchPort): number {
    const view = this.view;
    if (port.state !== STATE_UP) return port.state === STATE_LOOP ? LOOP_BLOCKED : QUARANTINE;
    if (port.passive) return 0;
    const ethernet = view.linkType === LinkType.ETHERNET;
    if (ethernet) {
      if (view.end - view.off < ETHERNET_HEADER_LEN) return TOO_SHORT;
      const reason = checkIngress(port, view);
      if (reason !== 0) return reason;
    }
    if (port.wire >= 0) {
      // Both directions of a wire are one zone: the same connection may pass two wires, in front of a router and behind it.
      view.zone = (view.vlan0 & 0xfff) | (((Math.min(port.index, port.wire) + 1) & 0x1ff) << 12);
      return port.readsAddresses && ethernet ? this.guard.check(port, view, view.vlan0 & 0xfff, this.nowSec) : 0;
    }
    // Without MAC addresses there is nothing to switch by: such captures need a passive port or a virtual wire.
    if (!ethernet) return NO_PORT;
    const reason = this.classify(port);
    if (reason !== 0) return reason;
    if (!this.forwardReserved && isReservedMac(view.dstMacHi, view.dstMacLo) && !port.allowsBpdu(view.dstMacHi, view.dstMacLo)) return RESERVED;
    if (port.readsAddresses) {
      const spoofed = this.guard.check(port, view, this.vlan, this.nowSec);
      if (spoofed !== 0) return spoofed;
    }
    if (isMulticastMac(view.dstMacHi)) {
      const limited = this.storm(port.index, BUCKET_RX_BROADCAST);
      if (limited !== 0) return limited;
    }
    const learned = this.macs.learn(this.vlan, view.srcMacHi, view.srcMacLo, port.index, this.nowSec);
    if (learned >= LEARN_MOVED && port.loopProtection !== LOOP_OFF) {
      const looping = this.loop(port, learned);
      if (looping !== 0) return looping;
    }
    if (this.guard.snoops) this.guard.snoop(view, this.vlan, this.nowSec);
    return 0;
  }

  /**
   * An address moved to this port, or belongs to another one by configuration: now and then the former is a station that
   * moved, the latter never is.
   */
  private loop(port: SwitchPort, learned: number): number {
    if (learned > LEARN_STATIC) return 0;
    if (port.loopProtection === LOOP_BLOCK) {
      if (port.loopSec !== this.nowSec) {
        port.loopSec = this.nowSec;
        port.loopSigns = 0;
      }
      if (++port.loopSigns > LOOP_SIGNS) {
        this.ports.block(port, this.nowSec + port.loopBlockSec);
        this.onPortEvent?.(port.index, 'loop_blocked');
        return LOOP_BLOCKED;
      }
    }
    return learned === LEARN_STATIC ? LOOP : 0;
  }

  private unblock(nowSec: number): void {
    for (let port = this.ports.unblock(nowSec); port !== null; port = this.ports.unblock(nowSec)) this.onPortEvent?.(port.index, 'loop_released');
  }

  /** VLAN of the frame. A priority tag becomes a tag of that VLAN in place, so that later stages see two cases, not three. */
  private classify(port: SwitchPort): number {
    const view = this.view;
    const buf = view.buf;
    const at = view.off + 12;
    const type = be16(buf, at);
    let tci = -1;
    if (type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ) {
      if (view.end - at < 6) return MALFORMED;
      tci = be16(buf, at + 2);
    }
    const vlan = port.vlan.classify(tci);
    if (vlan < 0) return VLAN_INGRESS;
    this.vlan = vlan;
    this.tagged = tci >= 0 && port.vlan.mode !== MODE_TUNNEL;
    this.pcp = this.tagged ? tci >>> 13 : 0;
    if (this.tagged && (tci & 0xfff) === 0) {
      putBe16(buf, at + 2, tci | vlan);
      view.vlan0 = tci | vlan;
    }
    view.zone = vlan | (((this.tagged ? view.vlan1 : view.vlan0) & 0x1ff) << 12);
    return 0;
  }

  /** Take from the broadcast or multicast bucket of a port (`first` = the broadcast one of the direction). */
  private storm(port: number, first: number): number {
    const view = this.view;
    const broadcast = view.dstMacHi === 0xffff && view.dstMacLo === -1;
    const bucket = port * BUCKETS + (broadcast ? first : first + 1);
    if (this.ports.limits.take(bucket, segments(view), this.nowSec, this.nowUsec)) return 0;
    return broadcast ? BROADCAST_RATE : MULTICAST_RATE;
  }

  private consume(): number {
    this.view.egress = EGRESS_MANY;
    const reason = this.judge();
    return reason === 0 ? CONSUMED : reason;
  }

  private sendByWire(row: number, out: number): number {
    const far = this.ports.table[out];
    if (far === undefined || far.state !== STATE_UP) return this.refused(NO_PORT);
    this.view.egress = out;
    this.view.egressTag = TAG_KEEP;
    const reason = this.judge();
    if (reason !== 0) return reason;
    this.out.queue(row, out, TAG_KEEP);
    return QUEUED;
  }

  private sendUnicast(row: number, port: SwitchPort): number {
    const view = this.view;
    const out = this.macs.lookup(this.vlan, view.dstMacHi, view.dstMacLo, this.nowSec);
    if (out < 0) return this.flood(row, port, false);
    if (out === port.index) return this.refused(HAIRPIN);
    const far = this.ports.table[out];
    const refused = far === undefined ? NO_PORT : egressRefusal(view, this.vlan, port, far);
    if (refused !== 0) return this.refused(refused);
    view.egress = out;
    view.egressTag = far!.vlan.egressTag(this.vlan, this.tagged, this.pcp);
    const reason = this.judge();
    if (reason !== 0) return reason;
    this.out.queue(row, out, view.egressTag);
    for (let i = 0; i < this.ports.listeners.length; i++) this.copyTo(row, port, far!, this.ports.listeners[i]!);
    return QUEUED;
  }

  /** A promiscuous port overhears unicast of its VLANs: not traffic to it, so its policy has no say. */
  private copyTo(row: number, port: SwitchPort, far: SwitchPort, listener: SwitchPort): void {
    if (listener === port || listener === far || egressRefusal(this.view, this.vlan, port, listener) !== 0) return;
    this.out.queue(row, listener.index, listener.vlan.egressTag(this.vlan, this.tagged, this.pcp));
  }

  /** Broadcast, multicast (`group`) and unknown unicast: to every port of the VLAN that may have it. */
  private flood(row: number, port: SwitchPort, group: boolean): number {
    const { view, targets, accounting } = this;
    const { active } = this.ports;
    let count = 0;
    let refused = NO_PORT;
    for (let i = 0; i < active.length; i++) {
      const far = active[i]!;
      if (far === port || !far.vlan.has(this.vlan)) continue;
      const reason = egressRefusal(view, this.vlan, port, far);
      if (reason === 0) targets[count++] = far.index;
      else if (refused === NO_PORT) refused = reason;
    }
    if (count === 0) return this.refused(refused);
    // One candidate for a unicast frame is as good as a known destination: both ends are judged.
    const known = count === 1 && !group;
    view.egress = known ? targets[0]! : EGRESS_MANY;
    if (known) view.egressTag = this.ports.table[targets[0]!]!.vlan.egressTag(this.vlan, this.tagged, this.pcp);
    const dropped = this.judge();
    if (dropped !== 0) return dropped;
    for (let i = 0; i < count; i++) {
      const far = this.ports.table[targets[i]!]!;
      const reason = known ? 0 : this.admit(far, group);
      if (reason === 0) this.out.queue(row, far.index, far.vlan.egressTag(this.vlan, this.tagged, this.pcp));
      else accounting.copyRefused(row, reason);
    }
    return QUEUED;
  }

  /** The incoming side of one destination of a flooded frame. */
  private admit(far: SwitchPort, group: boolean): number {
    this.view.reason = 0;
    if (isDrop(this.inspector.admit(this.view, far.index))) return this.reasonOfDrop();
    return group && far.txLimited ? this.storm(far.index, BUCKET_TX_BROADCAST) : 0;
  }

  /** Have the frame inspected. @returns the reason of a drop, CONSUMED when the inspector keeps it, 0 when it goes on */
  private judge(): number {
    const view = this.view;
    if (isDrop(this.inspector.inspect(view))) return this.reasonOfDrop();
    if (view.held) return CONSUMED;
    if (view.modified) deferTransportChecksum(view, this.batch);
    return 0;
  }

  /** A drop without a reason would break the accounting: it is the engine's fault and named so. */
  private reasonOfDrop(): number {
    return this.view.reason > 0 ? this.view.reason : ENGINE_ERROR;
  }

  private refused(reason: number): number {
    const view = this.view;
    view.verdict = Verdict.DROP;
    view.reason = reason;
    if (this.onRefused !== undefined) this.onRefused(view);
    return reason;
  }
}

/** Frames on the wire the frame at hand stands for. */
function segments(view: PacketView): number {
  return view.gsoSize > 0 && view.payloadLen > view.gsoSize ? Math.ceil(view.payloadLen / view.gsoSize) : 1;
}
