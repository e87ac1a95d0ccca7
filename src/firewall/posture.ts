/**
 * Posture: what happens to packets that are odd without being forbidden (Deep Security's anti-evasion settings: Normal, Strict,
 * Custom with an action per check). A policy in posture Normal costs nothing: connection tracking refuses by itself what no
 * honest host sends. Everything here is about one packet and what its flow was before.
 */
import { PROTO_TCP, TCP_ACK, TCP_CWR, TCP_ECE, TCP_FIN, TCP_OPT_TIMESTAMP, TCP_RST, TCP_SYN, TCP_URG, type PacketView } from '../packet/index.js';
import { DropReason } from '../pipeline/index.js';

/** What a check does. LOG_ONLY passes and reports; DENY_SILENT writes no event, the counter stays. */
export const CheckAction = { ALLOW: 0, LOG_ONLY: 1, DENY: 2, DENY_SILENT: 3 } as const;
export type CheckAction = (typeof CheckAction)[keyof typeof CheckAction];
export const CHECK_ACTION_NAMES = ['allow', 'log-only', 'deny', 'deny-silent'] as const;

const { ALLOW, DENY } = CheckAction;

/**
 * The checks: name in the configuration, action in posture Normal, default in Custom (as Deep Security delivers it), drop
 * reason, help. The seventeenth setting, `paws_window`, is a number.
 */
export const POSTURE_CHECKS = [
  ['invalid_timestamp', ALLOW, ALLOW, 'firewall_timestamp', 'TCP timestamp older than the last one of its direction by more than `paws_window` (RFC 7323 section 5).'],
  ['timestamp_zero', ALLOW, ALLOW, 'firewall_timestamp', 'TCP timestamp 0.'],
  ['fragment', ALLOW, ALLOW, 'defrag_denied', 'IP fragments.'],
  ['zero_flags', DENY, DENY, 'ct_invalid_flags', 'TCP segments without any flag.'],
  ['congestion_flags', ALLOW, ALLOW, 'firewall_congestion_flags', 'TCP segments with ECE or CWR.'],
  ['urgent_flags', ALLOW, ALLOW, 'firewall_urgent', 'TCP segments with URG.'],
  ['syn_data', ALLOW, DENY, 'firewall_syn_data', 'SYN with data. Normal lets it pass because TCP fast open needs it; the data is inspected and held to what the server acknowledges.'],
  ['split_handshake', ALLOW, DENY, 'firewall_split_handshake', 'A responder that answers a SYN with a SYN. Normal tracks it as the simultaneous open it may be.'],
  ['rst_out_of_connection', DENY, ALLOW, 'ct_invalid', 'RST that belongs to no connection.'],
  ['fin_out_of_connection', DENY, ALLOW, 'ct_invalid', 'FIN that belongs to no connection.'],
  ['out_of_connection', DENY, ALLOW, 'ct_invalid', 'Other TCP segment sent by the VM that belongs to no connection.'],
  ['evasive_retransmit', ALLOW, ALLOW, 'stream_overlap', 'Retransmission with other bytes than those inspected. Allow rewrites it to them.'],
  ['checksum', DENY, ALLOW, 'decode_checksum', 'Wrong IP or transport checksum: the receiver drops such a packet.'],
  ['syn_fin', DENY, DENY, 'ct_invalid_flags', 'SYN and FIN in one segment.'],
  ['syn_rst', DENY, DENY, 'ct_invalid_flags', 'SYN and RST in one segment.'],
  ['rst_fin', DENY, DENY, 'ct_invalid_flags', 'RST and FIN in one segment.'],
] as const satisfies readonly (readonly [string, CheckAction, CheckAction, keyof typeof DropReason, string])[];

export type PostureCheckName = (typeof POSTURE_CHECKS)[number][0];

/** Name -> bit number. */
export const PostureCheck = Object.freeze(Object.fromEntries(POSTURE_CHECKS.map(([name], id) => [name, id]))) as Readonly<Record<PostureCheckName, number>>;

export const POSTURE_MODES = ['normal', 'strict', 'custom'] as const;
export type PostureMode = (typeof POSTURE_MODES)[number];

export interface PostureConfig {
  readonly mode: PostureMode;
  /** By check. */
  readonly actions: readonly CheckAction[];
  /** Timestamp units (RFC 7323: 1 ms to 1 s each) by which a timestamp may be older. Linux guests need 1 s. */
  readonly pawsWindow: number;
}

/** @param own actions written in the configuration; only Custom takes them */
export function postureOf(mode: PostureMode, own: Readonly<Partial<Record<PostureCheckName, CheckAction>>> = {}, pawsWindow = 0): PostureConfig {
  const actions = POSTURE_CHECKS.map(([name, normal, custom]) => (mode === 'normal' ? normal : mode === 'strict' ? DENY : (own[name] ?? custom)));
  return { mode, actions, pawsWindow };
}

export const NORMAL_POSTURE = postureOf('normal');

const bit = (...names: readonly PostureCheckName[]): number => names.reduce((bits, name) => bits | (1 << PostureCheck[name]), 0);

/** Checks that look at each packet, also of established flows. */
const PER_PACKET = bit('invalid_timestamp', 'timestamp_zero', 'fragment', 'congestion_flags', 'urgent_flags', 'syn_data', 'split_handshake');
const TIMESTAMPS = bit('invalid_timestamp');

/** A posture, ready to be asked. */
export class Posture {
  readonly config: PostureConfig;
  /** Checks of each packet that do something; 0 = none. */
  readonly perPacket: number;
  /** True when timestamps have to be remembered. */
  readonly needsTimestamps: boolean;

  constructor(config: PostureConfig) {
    this.config = config;
    const acting = config.actions.reduce((bits: number, action, id) => (action === ALLOW ? bits : bits | (1 << id)), 0);
    this.perPacket = acting & PER_PACKET;
    this.needsTimestamps = (this.perPacket & TIMESTAMPS) !== 0;
  }

  action(check: number): CheckAction {
    return this.config.actions[check]!;
  }
}

/**
 * Which check of `wanted` (bits) the packet does not pass.
 * @param opens the packet belongs to no flow yet, or its flow was not answered
 * @param age how much older its timestamp is than the last one of its direction; 0 = not older, or not known
 * @returns the check, -1 = none
 */
export function failedCheck(view: PacketView, wanted: number, opens: boolean, age: number): number {
  if (view.fragment) return (wanted & (1 << PostureCheck.fragment)) !== 0 ? PostureCheck.fragment : -1;
  if (view.proto !== PROTO_TCP || view.l4Off < 0) return -1;
  const flags = view.tcpFlags;
  let failed = 0;
  if ((flags & (TCP_ECE | TCP_CWR)) !== 0) failed |= 1 << PostureCheck.congestion_flags;
  if ((flags & TCP_URG) !== 0) failed |= 1 << PostureCheck.urgent_flags;
  if ((flags & TCP_SYN) !== 0) {
    if (view.payloadLen > 0) failed |= 1 << PostureCheck.syn_data;
    if ((flags & TCP_ACK) === 0 && view.flowDir === 1 && opens) failed |= 1 << PostureCheck.split_handshake;
  }
  if ((view.tcpOptions & TCP_OPT_TIMESTAMP) !== 0) {
    if (view.tsVal === 0) failed |= 1 << PostureCheck.timestamp_zero;
    else if (age > 0) failed |= 1 << PostureCheck.invalid_timestamp;
  }
  failed &= wanted;
  return failed === 0 ? -1 : 31 - Math.clz32(failed & -failed);
}

/**
 * The check that says whether a TCP segment connection tracking refused may pass all the same.
 * @param outgoing the VM sent it
 * @returns the check, -1 = none: it does not pass
 */
export function checkOfInvalid(view: PacketView, outgoing: boolean): number {
  if (view.proto !== PROTO_TCP || view.l4Off < 0) return -1;
  const flags = view.tcpFlags & (TCP_FIN | TCP_SYN | TCP_RST);
  if (view.reason === DropReason.ct_invalid_flags) {
    if ((view.tcpFlags & 0xff) === 0) return PostureCheck.zero_flags;
    if ((flags & (TCP_SYN | TCP_FIN)) === (TCP_SYN | TCP_FIN)) return PostureCheck.syn_fin;
    if ((flags & (TCP_SYN | TCP_RST)) === (TCP_SYN | TCP_RST)) return PostureCheck.syn_rst;
    return (flags & (TCP_RST | TCP_FIN)) === (TCP_RST | TCP_FIN) ? PostureCheck.rst_fin : -1;
  }
  if (view.flowId >= 0 || view.reason !== DropReason.ct_invalid) return -1;
  if ((flags & TCP_RST) !== 0) return PostureCheck.rst_out_of_connection;
  if ((flags & TCP_FIN) !== 0) return PostureCheck.fin_out_of_connection;
  return outgoing ? PostureCheck.out_of_connection : -1;
}

/** The last timestamp of each direction of each flow: 8 bytes per flow, taken when a posture first asks for it. */
export class Timestamps {
  readonly #last: Int32Array;
  /** Bit per direction: one is known. Bits 2 and up: low bits of the serial number of the flow they belong to. */
  readonly #owner: Int32Array;

  constructor(maxFlows: number) {
    this.#last = new Int32Array(maxFlows * 2);
    this.#owner = new Int32Array(maxFlows);
  }

  /**
   * Compare with the last timestamp of the packet's direction, and remember the newer one.
   * @param serial of the flow's record: tells successive flows of one record apart
   * @returns units by which it is older beyond `window`; 0 = not older
   */
  age(view: PacketView, serial: number, window: number): number {
    const id = view.flowId;
    if (id < 0 || view.proto !== PROTO_TCP || (view.tcpOptions & TCP_OPT_TIMESTAMP) === 0) return 0;
    const dir = view.flowDir;
    const owner = serial << 2;
    let word = this.#owner[id]!;
    if ((word & ~3) !== owner) word = owner;
    const at = id * 2 + dir;
    const known = (word & (1 << dir)) !== 0;
    const older = known ? (this.#last[at]! - view.tsVal) | 0 : 0;
    this.#owner[id] = word | (1 << dir);
    if (!known || older < 0) this.#last[at] = view.tsVal;
    return Math.max(0, older - window);
  }
}
