/** The ports in force, and what follows from them: who takes part in switching, static MAC entries, storm limits. */
import { TokenBuckets } from '../util/index.js';
import type { AddressTable } from './address-table.js';
import type { MacTable } from './mac-table.js';
import {
  BUCKETS,
  BUCKET_RX_BROADCAST,
  BUCKET_RX_MULTICAST,
  BUCKET_TX_BROADCAST,
  BUCKET_TX_MULTICAST,
  STATE_LOOP,
  STATE_UP,
  SwitchPort,
  stateNumber,
  type PortState,
  type SwitchPortConfig,
} from './switch-port.js';

/** Trunks with more VLANs than this learn their MACs instead of holding one static entry per VLAN. */
const STATIC_VLANS_MAX = 64;

export class PortTable {
  /** By port index. */
  table: (SwitchPort | undefined)[] = [];
  /** Ports that take part in switching. */
  active: SwitchPort[] = [];
  /** Those of them that overhear all unicast of their VLANs. */
  listeners: SwitchPort[] = [];
  /** Storm limits, BUCKETS per port index. */
  readonly limits: TokenBuckets;
  private readonly size: number;
  /** Some port is cut off by loop protection. */
  blocked = false;
  private readonly macs: MacTable;
  private readonly addresses: AddressTable;

  constructor(size: number, macs: MacTable, addresses: AddressTable) {
    this.size = size;
    this.macs = macs;
    this.addresses = addresses;
    this.limits = new TokenBuckets(size * BUCKETS);
  }

  /** @throws RangeError */
  at(index: number): SwitchPort {
    const port = this.table[index];
    if (port === undefined) throw new RangeError(`no port ${index}`);
    return port;
  }

  /** See Switch.configure. */
  configure(configs: readonly (SwitchPortConfig | undefined)[]): void {
    const table = this.compile(configs);
    const before = new Map(this.table.flatMap((port) => (port === undefined ? [] : [[port.name, port] as const])));
    for (const port of table) {
      const old = port === undefined ? undefined : before.get(port.name);
      if (old !== undefined) port!.inherit(old);
    }
    for (const [index, old] of this.table.entries()) {
      const port = table[index];
      if (old !== undefined && (port === undefined || port.name !== old.name || port.vlan.list().join() !== old.vlan.list().join())) {
        this.macs.flushPort(index);
        this.addresses.flushPort(index);
      }
    }
    this.table = table;
    this.macs.clearStatic();
    for (let index = 0; index < this.size; index++) this.addresses.setRules(index, table[index]?.addressRules ?? null);
    for (const port of table) if (port !== undefined) this.install(port);
    this.refresh();
  }

  setState(index: number, state: PortState): void {
    const port = this.at(index);
    this.change(port, stateNumber(state));
  }

  private change(port: SwitchPort, state: number): void {
    port.state = state;
    if (state !== STATE_UP) {
      this.macs.flushPort(port.index);
      if (state !== STATE_LOOP) this.addresses.flushPort(port.index);
    }
    this.refresh();
  }

  /** Loop protection cuts a port off until second `until`. */
  block(port: SwitchPort, until: number): void {
    port.blockedUntil = until;
    this.blocked = true;
    this.change(port, STATE_LOOP);
  }

  /** Let ports whose time is over back in. @returns a port that came back, or null; ask again until then */
  unblock(nowSec: number): SwitchPort | null {
    for (const port of this.table) {
      if (port === undefined || port.state !== STATE_LOOP || port.blockedUntil > nowSec) continue;
      this.change(port, STATE_UP);
      return port;
    }
    this.blocked = this.table.some((port) => port?.state === STATE_LOOP);
    return null;
  }

  /** Check the whole set before anything changes. */
  private compile(configs: readonly (SwitchPortConfig | undefined)[]): (SwitchPort | undefined)[] {
    if (configs.length > this.size) throw new RangeError(`${configs.length} ports, but counters for ${this.size}`);
    const table = configs.map((config, index) => (config === undefined ? undefined : new SwitchPort(index, config)));
    const byName = new Map<string, SwitchPort>();
    let entries = 0;
    for (const port of table) {
      if (port === undefined) continue;
      if (byName.has(port.name)) throw new SyntaxError(`port ${port.name} is configured twice`);
      byName.set(port.name, port);
      entries += staticVlans(port).length * port.macCount;
    }
    if (entries > this.macs.size) throw new RangeError(`the ports need ${entries} static MAC entries, the MAC table holds ${this.macs.size}`);
    for (const port of byName.values()) {
      if (port.forwardTo === undefined) continue;
      const far = byName.get(port.forwardTo);
      if (far === undefined || far === port) throw new SyntaxError(`port ${port.name}: forwardTo names ${far === port ? 'the port itself' : `no port: ${port.forwardTo}`}`);
      port.wire = far.index;
    }
    return table;
  }

  private install(port: SwitchPort): void {
    const at = port.index * BUCKETS;
    this.limit(at + BUCKET_RX_BROADCAST, port.rx.broadcast);
    this.limit(at + BUCKET_RX_MULTICAST, port.rx.multicast);
    this.limit(at + BUCKET_TX_BROADCAST, port.tx.broadcast);
    this.limit(at + BUCKET_TX_MULTICAST, port.tx.multicast);
    const vlans = staticVlans(port);
    port.forEachMac((hi, lo) => {
      for (const vlan of vlans) this.macs.addStatic(vlan, hi, lo, port.index);
    });
  }

  /** A bucket holds one second's worth: batches of up to a second do not count as storms. */
  private limit(bucket: number, perSecond: number | undefined): void {
    this.limits.configure(bucket, perSecond ?? 0, Math.max(1, perSecond ?? 1));
  }

  private refresh(): void {
    this.active = [];
    this.listeners = [];
    for (const port of this.table) {
      if (port === undefined) continue;
      port.switched = port.state === STATE_UP && !port.passive && port.wire < 0;
      if (!port.switched) continue;
      this.active.push(port);
      if (port.promiscuous) this.listeners.push(port);
    }
  }
}

/** VLANs in which a port's MACs are pinned. */
function staticVlans(port: SwitchPort): number[] {
  if (port.passive || port.forwardTo !== undefined || port.macCount === 0) return [];
  const vlans = port.vlan.list();
  return vlans.length > STATIC_VLANS_MAX ? [] : vlans;
}
