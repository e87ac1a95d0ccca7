/** What the switch is given and whom it tells: the seams to ports, mirrors and the appliance. */
import type { FrameBatch, PacketView } from '../packet/index.js';
import type { AddressObserver } from './address-table.js';
import type { MacTableOptions } from './mac-table.js';

/** Sends the transmit rows of the batch. PortSet implements it. */
export interface FrameOutput {
  /** Write T_STATUS of rows 0..count-1. @returns rows that failed */
  flush(count: number): number;
}

/** Sees what the switch did with each frame, after the fact. PcapMirror implements it. */
export interface FrameObserver {
  /** Row `row` of the batch is settled: OUTCOME_* with its reason (0 when forwarded whole or consumed). */
  ingress(batch: FrameBatch, row: number, port: number, vlan: number, outcome: number, reason: number): void;
  /** A transmit row was flushed; `status` 0 or a positive errno. */
  egress(batch: FrameBatch, row: number, port: number, vlan: number, tag: number, status: number): void;
}

/** What happened to a port; told to the appliance, never per packet. */
export type PortEvent = 'loop_blocked' | 'loop_released';

/** A port for people. */
export interface PortInfo {
  readonly state: 'up' | 'down' | 'quarantine' | 'loop';
  /** VLANs it is a member of; none for passive ports and virtual wires. */
  readonly vlans: readonly number[];
  /** Configured MACs, as text and as words (hi, lo). */
  readonly macs: readonly string[];
  readonly macWords: readonly number[];
  readonly macChanged: boolean;
}

export interface SwitchOptions {
  readonly macTable?: MacTableOptions;
  /** Forward reserved bridge addresses like any multicast (a transparent wire). Default false, as IEEE 802.1Q asks. */
  readonly forwardReserved?: boolean;
  /**
   * Told of each frame the switch itself refuses, before the counters: `view.reason` says why. Drops by the inspector are
   * the inspector's to report.
   */
  readonly onRefused?: (view: PacketView) => void;
  readonly onPortEvent?: (port: number, event: PortEvent) => void;
  readonly onAddress?: AddressObserver;
}
