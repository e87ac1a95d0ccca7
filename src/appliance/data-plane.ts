/**
 * The inspection of one worker: what happens to a frame between its ingress port and its egress port. Composes the engines
 * - decoder events, defragmentation, connection tracking, firewall, reassembly, application parsers, IPS - in that order, and
 * turns their answers into one verdict. The switch calls `inspect` and `admit`; nothing here awaits or allocates per packet.
 */
import {
  FlowState,
  S_BYPASS,
  S_DROPPED,
  STREAM_DROP,
  StreamEvent,
  vlanZone,
  type ConnTrack,
  type Flow,
  type FlowPool,
  type FlowTable,
  type StreamEngine,
  type StreamSink,
} from '../flow/index.js';
import { PostureCheck, ReconKind, type Firewall, type FirewallState } from '../firewall/index.js';
import { CSUM_BAD, MAX_TUNNEL_DEPTH, PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, PacketView, TCP_ACK, TCP_RST, TCP_SYN, decodeInner, ipv4ChecksumOk, verifyTransportChecksum } from '../packet/index.js';
import { CtState, DropReason, Verdict, isDrop } from '../pipeline/index.js';
import { PortPolicies, isSynAlone, type Ips } from '../ips/index.js';
import type { AppLayer } from '../protocols/index.js';
import type { WebStage } from '../web/index.js';
import type { Inspector } from '../vswitch/index.js';
import { ExceptionAction, applyException, type Exceptions } from './exceptions.js';
import { traceConnection, traceFirewall, tracePacket, traceStream, traceVerdict } from './explain-words.js';
import type { Fragments } from './fragments.js';
import type { HeldRequests } from './held-requests.js';
import type { Tracer } from './trace.js';

/** Answers to refused packets and reports about them; implemented by the session. */
export interface RefusalHandler {
  /** A packet was refused; `view.verdict` holds the verdict, `view.reason` why. May queue answers in the batch. */
  refused(view: PacketView, flow: Flow | null): void;
  /** A source was caught at reconnaissance. */
  recon(view: PacketView, kind: ReconKind): void;
  /** The decoder or connection tracking found something odd about the packet; asked for only where `noticesAnomalies`. */
  anomalies(view: PacketView, flow: Flow | null): void;
  readonly noticesAnomalies: boolean;
  /** An engine threw while judging the packet. */
  engineError(view: PacketView, error: unknown): void;
  /** Both ends of a connection have closed it and every byte was judged. */
  settled(flowId: number): void;
}

/** What a reload replaces. */
export interface ReplaceableParts {
  /** null = payload is not inspected at all. */
  readonly ips: Ips | null;
  readonly firewall: Firewall | null;
  readonly firewallState: FirewallState | null;
  /** By port index: 1 = traffic that cannot be judged passes (failure policy open). */
  readonly failOpenEngine: Uint8Array;
  readonly failOpenSanity: Uint8Array;
}

export interface DataPlaneParts extends ReplaceableParts {
  readonly table: FlowTable;
  readonly pool: FlowPool;
  readonly tracker: ConnTrack;
  readonly fragments: Fragments;
  readonly app: AppLayer;
  /** null = HTTP is not judged by web rules. */
  readonly web: WebStage | null;
  readonly refusals: RefusalHandler;
  /** VM index by port index, -1 = none. */
  readonly portVm: Int32Array;
  /** Packets that belong to no connection are dropped even where no firewall policy asks. */
  readonly strict: boolean;
  /** As `strict`, for packets inside tunnels. */
  readonly strictTunnels: boolean;
  /** Tunnels in tunnels that may pass; 0 = no tunnel may. */
  readonly maxTunnelDepth: number;
  /** Drop rules drop. */
  readonly enforce: boolean;
  readonly exceptions: Exceptions;
  /** By ingress port: 1 = packets with a wrong checksum are dropped. Not on passive ports, where captured checksums may be unfinished. */
  readonly verifyChecksums: Uint8Array;
}

export class DataPlane implements Inspector, StreamSink {
  /** Set while somebody wants to know; null costs one comparison per stage. */
  tracer: Tracer | null = null;
  /** Set by the builder where requests are held until they are judged. */
  held: HeldRequests | null = null;
  /** Set by the builder: the stream engine needs this object as its sink. */
  streams!: StreamEngine;
  #p: DataPlaneParts;
  /** Views of the packets inside tunnels, by depth. */
  readonly #inner = Array.from({ length: MAX_TUNNEL_DEPTH + 1 }, () => new PacketView());
  /** Flow of the packet at hand, for reports. */
  #flow: Flow | null = null;

  /** Somebody reads about anomalies. */
  readonly #anomalies: boolean;

  constructor(parts: DataPlaneParts) {
    this.#anomalies = parts.refusals.noticesAnomalies;
    this.#p = parts;
  }

  /** Between two batches only. */
  replacePolicy(parts: ReplaceableParts): void {
    this.#p = { ...this.#p, ...parts };
  }

  /** Judge a frame at its way in; with a known egress both ends count. */
  inspect(view: PacketView): number {
    view.verdict = Verdict.NONE;
    view.reason = 0;
    view.ruleGid = 0;
    view.ruleSid = 0;
    this.#flow = null;
    if (this.#p.firewall !== null) this.#p.firewall.silent = false;
    if (this.tracer !== null) tracePacket(this.tracer, view);
    let verdict: number;
    try {
      verdict = this.#judge(view);
    } catch (error) {
      verdict = this.#failed(view, error);
      // Its bytes may be in the stream already, where a repetition would pass as known.
      if (isDrop(verdict)) this.#condemn(view);
    }
    view.verdict = verdict;
    if (this.#anomalies && (view.eventCount > 0 || (view.proto === PROTO_TCP && view.flowId >= 0))) this.#p.refusals.anomalies(view, this.#flow);
    if (isDrop(verdict)) this.#p.refusals.refused(view, this.#flow);
    if (this.tracer !== null) traceVerdict(this.tracer, view);
    return verdict;
  }

  /** Let nothing more of the flow at hand pass. */
  #condemn(view: PacketView): void {
    const id = this.#flow?.id ?? view.flowId;
    if (id >= 0) this.#p.table.setFlags(id, S_DROPPED);
  }

  /** An engine threw: what the failure policy of the ingress port says. */
  #failed(view: PacketView, error: unknown): number {
    this.#p.refusals.engineError(view, error);
    if (this.#p.failOpenEngine[view.ingress] !== 0) return Verdict.NONE;
    view.reason = DropReason.engine_error;
    return Verdict.DROP;
  }

  /** Judge one copy of a flooded frame by the incoming rules of its destination; content was inspected already. */
  admit(view: PacketView, egressPort: number): number {
    const p = this.#p;
    const vm = p.portVm[egressPort]!;
    if (p.firewall === null || vm < 0) return Verdict.NONE;
    try {
      return p.firewall.judge(view, view.ctState === CtState.NEW ? CtState.NEW : CtState.UNTRACKED, -1, vm);
    } catch (error) {
      return this.#failed(view, error);
    }
  }

  // ---- StreamSink ------------------------------------------------------------------------------------------------

  data(view: PacketView, flow: Flow, dir: number): void {
    this.#p.app.data(view, flow, dir);
  }

  gap(view: PacketView, flow: Flow, dir: number, position: number, length: number): void {
    this.#p.ips?.inspectBeforeGap(view, flow, dir);
    this.#p.app.gap(flow, dir, position, length);
  }

  end(_view: PacketView, flow: Flow, dir: number): void {
    this.#p.app.end(flow, dir);
  }

  // ---- judging ---------------------------------------------------------------------------------------------------

  #judge(view: PacketView): number {
    const p = this.#p;
    if (view.malformed !== 0) return this.#judgeMalformed(view);
    if (view.ipVersion === 0) return this.#judgeLink(view);
    if (p.verifyChecksums[view.ingress] !== 0 && isDamaged(view)) {
      if (p.failOpenSanity[view.ingress] !== 0) return Verdict.NONE;
      if (!this.#excused(view, PostureCheck.checksum)) {
        view.reason = DropReason.decode_checksum;
        return Verdict.DROP;
      }
    }
    if (!view.fragment) return this.#judgeIp(view);
    if (p.firewall !== null && isDrop(p.firewall.judgeFragment(view, p.portVm[view.ingress]!, this.#dstVm(view)))) return this.#dropFragment(view);
    const whole = p.fragments.add(view);
    const { reason } = view;
    // A fragment may pass by itself, since it is of no use until the last one does.
    const alone = this.#inspectPayload(view, null);
    if (isDrop(alone)) return alone;
    if (reason !== 0) {
      view.reason = reason;
      if (reason === DropReason.defrag_memcap || reason === DropReason.defrag_budget) return applyException(p.table, view, p.exceptions.defrag_memcap, p.strict ? ExceptionAction.DROP_PACKET : ExceptionAction.IGNORE);
      return p.strict ? this.#dropFragment(view) : Verdict.NONE;
    }
    if (whole === null) return alone;
    // The fragment that completes the datagram carries the judgement on all of it: without it the rest is useless.
    if (this.tracer !== null) tracePacket(this.tracer, whole);
    const verdict = this.#judgeWhole(whole);
    view.reason = whole.reason;
    view.ruleGid = whole.ruleGid;
    view.ruleSid = whole.ruleSid;
    view.flowId = whole.flowId;
    view.flowDir = whole.flowDir;
    if (isDrop(verdict)) p.fragments.condemn(whole.reason);
    return verdict;
  }

  /** Scanners hide in fragments too small for a header: what is refused of them is noticed. */
  #dropFragment(view: PacketView): number {
    const kind = this.#p.firewallState === null ? ReconKind.NONE : this.#p.firewallState.recon.observe(view, CtState.UNTRACKED, Verdict.DROP);
    if (kind !== ReconKind.NONE) this.#p.refusals.recon(view, kind);
    return Verdict.DROP;
  }

  /** Truncated or contradictory headers: rules about what stands before the bad header can match, and nothing behind it is believed. */
  #judgeMalformed(view: PacketView): number {
    view.flowId = -1;
    view.payloadLen = 0;
    const verdict = this.#inspectPayload(view, null);
    if (isDrop(verdict)) return verdict;
    if (!this.#p.strict || this.#p.failOpenSanity[view.ingress] !== 0) return verdict;
    view.reason = DropReason.decode_malformed;
    return Verdict.DROP;
  }

  /** ARP and everything that is not IP: frame-type rules of the firewall. */
  #judgeLink(view: PacketView): number {
    view.flowId = -1;
    view.ctState = CtState.UNTRACKED;
    const verdict = this.#firewall(view, CtState.UNTRACKED);
    if (isDrop(verdict)) return verdict;
    return Math.max(verdict, this.#inspectPayload(view, null));
  }

  /** A datagram that came in fragments: all but the last have left, so what would be rewritten in it must be dropped. */
  #judgeWhole(whole: PacketView): number {
    if (this.#p.verifyChecksums[whole.ingress] !== 0 && isDamaged(whole) && !this.#excused(whole, PostureCheck.checksum)) {
      whole.reason = DropReason.decode_checksum;
      return Verdict.DROP;
    }
    const verdict = this.#judgeIp(whole);
    if (!whole.modified || isDrop(verdict)) return verdict;
    whole.reason = DropReason.stream_overlap;
    return Verdict.DROP;
  }

  #judgeIp(view: PacketView): number {
    const p = this.#p;
    const table = p.table;
    const ct = p.tracker.lookup(view, vlanZone(view));
    if (this.tracer !== null) traceConnection(this.tracer, view, table);
    if (view.flowDir === 1 && p.firewallState !== null && isFirstAnswer(view, ct)) this.#noteAnswer(view, p.firewallState);
    if (view.flowId >= 0) {
      if (table.hasFlags(view.flowId, S_DROPPED)) {
        this.#flow = p.pool.flowOf(view.flowId);
        view.reason = DropReason.flow_dropped;
        return Verdict.DROP;
      }
      if (table.hasFlags(view.flowId, S_BYPASS)) return Verdict.BYPASS;
    }
    const admitted = this.#firewall(view, ct);
    if (isDrop(admitted)) return admitted;
    if (ct === CtState.INVALID) {
      // A posture may let it pass, as tap mode does.
      if (p.strict && admitted === Verdict.NONE) return Verdict.DROP;
      view.reason = 0;
    }
    if ((ct === CtState.NEW || ct === CtState.RELATED) && view.flowId < 0 && admitted !== Verdict.BYPASS) {
      if (p.tracker.commit(view) < 0) {
        const exception = applyException(table, view, p.exceptions.flow_memcap, p.strict ? ExceptionAction.DROP_PACKET : ExceptionAction.IGNORE);
        if (isDrop(exception)) return exception;
      } else p.firewall?.opened(view, p.portVm[view.ingress]!, this.#dstVm(view));
    }
    if (p.exceptions.midstream > ExceptionAction.IGNORE && view.proto === PROTO_TCP && view.flowId >= 0) {
      const exception = this.#midstream(view, ct);
      if (exception !== Verdict.NONE) return exception;
    }
    if (admitted === Verdict.BYPASS) {
      if (view.flowId >= 0) table.setFlags(view.flowId, S_BYPASS);
      return Verdict.BYPASS;
    }
    const verdict = this.#inspectFlow(view, ct);
    if (verdict >= Verdict.DROP_FLOW && view.flowId >= 0) table.setFlags(view.flowId, S_DROPPED);
    if (view.tunnel === 0 || isDrop(verdict)) return Math.max(admitted, verdict);
    return Math.max(admitted, verdict, this.#judgeInner(view));
  }

  /** Policy for TCP whose beginning was not seen; of a flow that is picked up the first packet tells. */
  #midstream(view: PacketView, ct: number): number {
    const { table, exceptions, enforce } = this.#p;
    const first = ct === CtState.NEW && table.packets(view.flowId, 0) + table.packets(view.flowId, 1) === 1;
    if (first ? (view.tcpFlags & (TCP_SYN | TCP_ACK)) === TCP_SYN : table.state(view.flowId) !== FlowState.NONE) return Verdict.NONE;
    // To drop takes an engine that may.
    if (exceptions.midstream >= ExceptionAction.DROP_PACKET && !enforce) return Verdict.NONE;
    view.reason = DropReason.ct_invalid;
    return applyException(table, view, exceptions.midstream, ExceptionAction.IGNORE);
  }

  /** A packet inside a tunnel has its own flow and is inspected like any other; its verdict falls on the outer frame. */
  #judgeInner(outer: PacketView): number {
    const inner = this.#inner[outer.tunnelDepth]!;
    if (!decodeInner(outer, inner)) return Verdict.NONE;
    if (inner.tunnelDepth > this.#p.maxTunnelDepth) {
      outer.reason = DropReason.flow_tunnel_depth;
      return Verdict.DROP;
    }
    const verdict = this.#judgeTunnelled(inner);
    if (isDrop(verdict)) {
      outer.reason = inner.reason;
      outer.ruleGid = inner.ruleGid;
      outer.ruleSid = inner.ruleSid;
    }
    if (inner.modified) outer.modified = true;
    return verdict;
  }

  #judgeTunnelled(inner: PacketView): number {
    const p = this.#p;
    if (inner.malformed !== 0) {
      inner.payloadLen = 0;
      return this.#inspectPayload(inner, null);
    }
    if (inner.ipVersion === 0) return this.#inspectPayload(inner, null);
    if (inner.fragment) return this.#judgeTunnelledFragment(inner);
    const ct = p.tracker.lookup(inner, vlanZone(inner));
    if (inner.flowId >= 0 && p.table.hasFlags(inner.flowId, S_DROPPED)) {
      inner.reason = DropReason.flow_dropped;
      return Verdict.DROP;
    }
    if (ct === CtState.INVALID && p.strictTunnels) return Verdict.DROP;
    inner.reason = 0;
    if ((ct === CtState.NEW || ct === CtState.RELATED) && inner.flowId < 0 && p.tracker.commit(inner) < 0) inner.reason = 0;
    const verdict = this.#inspectFlow(inner, ct);
    if (verdict >= Verdict.DROP_FLOW && inner.flowId >= 0) p.table.setFlags(inner.flowId, S_DROPPED);
    return inner.tunnel === 0 || isDrop(verdict) ? verdict : Math.max(verdict, this.#judgeInner(inner));
  }

  #judgeTunnelledFragment(inner: PacketView): number {
    const { fragments, strict } = this.#p;
    const whole = fragments.add(inner);
    const verdict = this.#inspectPayload(inner, null);
    if (isDrop(verdict)) return verdict;
    if (inner.reason !== 0) {
      if (strict) return Verdict.DROP;
      inner.reason = 0;
    }
    if (whole === null) return verdict;
    const judged = this.#judgeTunnelled(whole);
    if (isDrop(judged)) {
      inner.reason = whole.reason;
      inner.ruleGid = whole.ruleGid;
      inner.ruleSid = whole.ruleSid;
      fragments.condemn(whole.reason);
    }
    return Math.max(verdict, judged);
  }

  #firewall(view: PacketView, ct: number): number {
    const p = this.#p;
    if (p.firewall === null) return Verdict.NONE;
    const verdict = p.firewall.judge(view, ct, p.portVm[view.ingress]!, this.#dstVm(view));
    if (this.tracer !== null) traceFirewall(this.tracer, view, verdict, p.firewall);
    if ((ct === CtState.NEW && view.flowId < 0) || ct === CtState.INVALID || isDrop(verdict)) {
      const kind = p.firewallState!.recon.observe(view, ct, verdict);
      if (kind !== ReconKind.NONE) p.refusals.recon(view, kind);
    }
    return verdict;
  }

  /** What an attempt came to: reconnaissance learns which ports are open and which refuse. */
  #noteAnswer(view: PacketView, state: FirewallState): void {
    if (view.proto === PROTO_TCP && (view.tcpFlags & TCP_RST) === 0) state.recon.accepted(view);
    else state.recon.rejected(view);
  }

  #dstVm(view: PacketView): number {
    return view.egress < 0 ? -1 : this.#p.portVm[view.egress]!;
  }

  /** The postures of both ends do not mind a fault; without any posture it counts. */
  #excused(view: PacketView, check: number): boolean {
    const { firewall, portVm } = this.#p;
    return firewall !== null && firewall.judgeFault(view, check, portVm[view.ingress]!, this.#dstVm(view)) === Verdict.PASS;
  }

  /** Reassembly, application parsers and rules for a packet that may pass so far. */
  #inspectFlow(view: PacketView, ct: number): number {
    const p = this.#p;
    const byRules = p.ips !== null && p.ips.ports.modeOf(view) !== PortPolicies.OFF;
    const web = p.web !== null && p.web.wants(view) ? p.web : null;
    if (!byRules && web === null) return Verdict.NONE;
    // An ICMP error is no part of the flow it is about; an announced connection is its own flow.
    const tracked = view.flowId >= 0 && ct !== CtState.INVALID && (ct !== CtState.RELATED || view.proto === PROTO_TCP || view.proto === PROTO_UDP);
    let flow: Flow | null = null;
    if (tracked) {
      if (view.proto === PROTO_TCP) {
        // Connections that nobody answers never need an object, unless a rule keeps something about their first packet.
        const opens = view.payloadLen === 0 && isSynAlone(view.tcpFlags) && !(byRules && p.ips.rules.needsFlowAtSyn);
        const over = p.pool.isSettled(view.flowId);
        flow = opens || over ? p.pool.flowOf(view.flowId) : p.pool.attach(view);
        if (flow === null) {
          if (!opens && !over) {
            view.reason = DropReason.ips_memcap;
            return this.#streamException(view);
          }
        } else {
          this.#flow = flow;
          if (web !== null) this.#beginWeb(web, view, flow);
          if (!byRules) leaveToWeb(flow);
          if (this.streams.segment(view, flow) === STREAM_DROP) return isMemcap(view.reason) ? this.#streamException(view) : Verdict.DROP;
          if (p.tracker.events.has(StreamEvent.reassembly_overlap_different_data) && this.#forbidsRewrite(view)) return Verdict.DROP;
          if (this.tracer !== null) traceStream(this.tracer, view, flow);
        }
      } else if (!p.pool.isSettled(view.flowId) && (view.payloadLen > 0 || p.ips!.rules.needsFlowObjects)) {
        flow = p.pool.attach(view);
        this.#flow = flow;
        if (flow !== null && view.proto === PROTO_UDP) p.app.datagram(view, flow);
      } else flow = p.pool.flowOf(view.flowId);
    }
    if (p.exceptions.app_layer_error > ExceptionAction.IGNORE && flow !== null && flow.uninspected === 'parser-error' && p.enforce) return this.#parserException(view);
    let verdict = this.#inspectPayload(view, flow);
    if (flow === null) return verdict;
    if (p.app.unjudged && this.#prevents(view) && !isDrop(verdict)) {
      view.reason = DropReason.applayer_error;
      verdict = Verdict.DROP_FLOW;
    }
    if (flow.toServer.closed && flow.toClient.closed && !this.streams.inline) this.#closed(view, flow);
    if (web !== null) verdict = this.#web(web, view, flow, verdict);
    p.app.settle(view, flow);
    if (view.proto !== PROTO_TCP) {
      // Datagrams of a protocol that nobody knows and no rule asks about need their record only.
      if (flow.app < 0 && (p.ips === null || p.ips.rules.rules.length === 0)) p.pool.settle(view.flowId);
      return verdict;
    }
    if (flow.toServer.closed && flow.toClient.closed) this.#over(view);
    return view.payloadLen > 0 ? wholeFlow(verdict) : verdict;
  }

  /** Inline, a connection that both ends have closed and acknowledged needs its record only: stray packets belong to that. */
  #over(view: PacketView): void {
    if (!this.streams.inline) return;
    const state = this.#p.table.state(view.flowId);
    if (state !== FlowState.TIME_WAIT && state !== FlowState.CLOSE) return;
    this.#flow = null;
    this.#p.refusals.settled(view.flowId);
  }

  #beginWeb(web: WebStage, view: PacketView, flow: Flow): void {
    const { tracer } = this;
    web.trace = tracer === null ? null : (text) => tracer.add('web', text);
    web.begin(view, flow);
  }

  /** What web rules decided while the packet was being read. */
  #web(web: WebStage, view: PacketView, flow: Flow, verdict: number): number {
    const judged = Math.max(verdict, web.verdict(view, flow));
    const { held } = this;
    if (held === null) return judged;
    if (isDrop(judged)) held.discard(flow);
    else if (view.tunnelDepth === 0 && held.keep(view, flow)) {
      view.held = true;
      this.tracer?.add('web', 'the packet waits until the request is complete and judged');
    }
    return judged;
  }

  /** The stream cannot be followed any further. */
  #streamException(view: PacketView): number {
    const { table, exceptions, enforce } = this.#p;
    if (enforce) return applyException(table, view, exceptions.stream_memcap, ExceptionAction.DROP_PACKET);
    view.reason = 0;
    return Verdict.NONE;
  }

  /** The parser of the flow gave up, on this packet or an earlier one. */
  #parserException(view: PacketView): number {
    view.reason = DropReason.applayer_error;
    return applyException(this.#p.table, view, this.#p.exceptions.app_layer_error, ExceptionAction.IGNORE);
  }

  /** Retransmissions with other bytes are rewritten, unless a posture denies them. */
  #forbidsRewrite(view: PacketView): boolean {
    const { firewall, portVm, enforce } = this.#p;
    if (!enforce || firewall === null || firewall.judgeFault(view, PostureCheck.evasive_retransmit, portVm[view.ingress]!, this.#dstVm(view)) !== Verdict.DROP) return false;
    view.reason = DropReason.stream_overlap;
    return true;
  }

  #prevents(view: PacketView): boolean {
    const { ips, enforce } = this.#p;
    return enforce && ips !== null && ips.ports.modeOf(view) === PortPolicies.PREVENT;
  }

  /** Both directions of a connection that is only watched have ended: judge what is left and let go of the bytes. */
  #closed(view: PacketView, flow: Flow): void {
    if (flow.toServer.len + flow.toClient.len === 0) return;
    this.#p.ips?.inspectBeforeGap(view, flow, 0);
    this.#p.ips?.inspectBeforeGap(view, flow, 1);
    this.streams.release(flow);
  }

  #inspectPayload(view: PacketView, flow: Flow | null): number {
    const { ips } = this.#p;
    return ips === null ? Verdict.NONE : ips.inspect(view, flow);
  }
}

/** Nobody but web protection reads the flow: nothing is kept for rules, and only HTTP is followed. */
function leaveToWeb({ toServer, toClient, app, appProto }: Flow): void {
  toServer.inspectDone = toClient.inspectDone = true;
  if (app > 0 && appProto !== 'http' && appProto !== 'http2') toServer.parseDone = toClient.parseDone = true;
}

/** Reasons that say no more than that room is used up. */
function isMemcap(reason: number): boolean {
  return reason === DropReason.stream_memcap || reason === DropReason.stream_budget;
}

/** SYN+ACK, RST to a SYN, or an ICMP error about what the other side sent. */
function isFirstAnswer(view: PacketView, ct: number): boolean {
  if (ct === CtState.RELATED) return view.proto === PROTO_ICMP || view.proto === PROTO_ICMPV6;
  return view.proto === PROTO_TCP && !view.established && (view.tcpFlags & (TCP_SYN | TCP_RST)) !== 0;
}

/** A checksum that the packet's receiver would refuse it for. Those left to a card, or vouched for by one, are not looked at. */
function isDamaged(view: PacketView): boolean {
  if (view.csumPartial || view.csumValid || view.gsoSize > 0) return false;
  if (view.ipVersion === 4 && view.tunnelDepth === 0 && !ipv4ChecksumOk(view)) return true;
  return verifyTransportChecksum(view) === CSUM_BAD;
}

/**
 * Dropping TCP data drops the flow: the bytes are in the stream by now, and would pass as known when they are repeated in
 * other portions, which the rule that saw them in this packet would not recognise.
 */
function wholeFlow(verdict: number): number {
  if (verdict === Verdict.DROP) return Verdict.DROP_FLOW;
  return verdict === Verdict.REJECT ? Verdict.REJECT_FLOW : verdict;
}
