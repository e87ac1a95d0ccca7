/**
 * Where stages report what they saw. Stages call an EventOutput; the appliance implements it once (EVE JSON, metrics,
 * traces). Calls are rare compared with packets (alerts, drops that a rule caused, transactions, flow ends), so they may
 * allocate; nothing here is called per forwarded packet.
 */
import type { PacketView } from '../packet/packet-view.js';

/** What an IPS alert carries beside the packet. Built once per signature at load time, shared by all its alerts. */
export interface SignatureInfo {
  readonly gid: number;
  readonly sid: number;
  readonly rev: number;
  readonly msg: string;
  /** Text of the classification, e.g. "Web Application Attack"; '' when the rule names none. */
  readonly category: string;
  /** 1 (highest) to 4 (lowest), as Suricata prints `severity`. */
  readonly severity: number;
  /** EVE `metadata` object: key -> values. */
  readonly metadata: Readonly<Record<string, readonly string[]>>;
  readonly references: readonly string[];
}

/** A finished or updated application transaction as the log wants it: EVE `event_type` and the object under that key. */
export interface TransactionRecord {
  /** EVE event_type: http, dns, tls, ... */
  readonly type: string;
  /** Value of the key named like the type. */
  readonly body: Readonly<Record<string, unknown>>;
  /** True when the event belongs to the direction to server (decides src and dst of the record). */
  readonly toServer: boolean;
}

/** Minimal view of a flow that event writers need; the flow room's Flow implements it. */
export interface FlowFacts {
  readonly id: number;
  /** Stable id printed as EVE flow_id (positive, below 2^53). */
  readonly eveId: number;
  /** EVE app_proto ('' when unknown or not yet detected). */
  readonly appProto: string;
}

/** What web protection says about one HTTP transaction. */
export interface WebRecord {
  /** The `web` object of the event. */
  readonly body: Readonly<Record<string, unknown>>;
  /** Rules that matched, in the order in which they did. */
  readonly rules: readonly Readonly<Record<string, unknown>>[];
  readonly blocked: boolean;
}

export interface EventOutput {
  /**
   * A signature matched. `blocked`: the packet does not pass because of it (EVE alert.action).
   * `tx` is the record of the transaction it matched on, if any; `fromStream` when it matched reassembled data.
   */
  alert(view: PacketView, flow: FlowFacts | null, signature: SignatureInfo, blocked: boolean, tx: TransactionRecord | null, fromStream: boolean): void;
  /** A frame was dropped; called for the drops that are reported one by one (policy: each rule drop, others sampled). */
  drop(view: PacketView, flow: FlowFacts | null): void;
  /** False when no transaction is written anywhere: their records, which cost more than their parsing, are then not made. */
  readonly logsTransactions: boolean;
  /** Transferred files are written. */
  readonly logsFiles?: boolean;
  /** A transaction is complete enough to be logged. */
  transaction(view: PacketView | null, flow: FlowFacts, record: TransactionRecord): void;
  /** Protocol anomaly: decoder, stream or application-layer event by its Suricata name. */
  anomaly(view: PacketView, flow: FlowFacts | null, layer: 'decode' | 'stream' | 'applayer', name: string): void;
}

/** Where web protection reports. */
export interface WebEventOutput {
  /** Rules matched in a transaction, or it was blocked. `view`: the packet that did it, of either direction; null when the flow is over. */
  web(view: PacketView | null, flow: FlowFacts, record: WebRecord): void;
}
