/**
 * One data plane put together: ports, switch, engines, events and counters. `run` drives it from a worker thread, `replay`
 * and the tests from the main one; nothing below this file knows the difference.
 */
import { adviseHugePages } from '@drawbridge/native';
import {
  Budgets, ConnTrack, Defragmenter, EndCause, Expectations, FlowPool, FlowTable, M_ALERTED, STREAM_EVENTS, S_DROPPED, StreamEngine, type Budget, type Flow,
} from '../flow/index.js';
import { Firewall, FirewallState, RECON_NAMES, ReconKind, Rejecter, type FirewallPolicy } from '../firewall/index.js';
import { Ips, PortPolicies, type RuleBitmaps, type RejectSides, type RuleProfile, type RuleSet } from '../ips/index.js';
import { DECODE_EVENTS, D_STRIDE, D_TS_SEC, D_TS_USEC, FrameBatch, PROTO_TCP, PacketView } from '../packet/index.js';
import {
  Counters, DROP_REASONS, DropReason, G_ALERTS_ALLOWED, G_ALERTS_BLOCKED, G_ANSWERS_LIMITED, G_FLOWS_ACTIVE, G_FLOWS_CREATED, G_FLOWS_ENDED, G_FLOWS_EVICTED, G_FRAGMENTS,
  G_GENERATION, G_NORMALISED, G_PCRE_LIMIT, G_RULES, G_STREAM_BYTES, G_STREAM_MEMCAP, G_UNINSPECTED_BYTES, G_WEB_BLOCKED, G_WEB_BODY_BYTES, G_WEB_EXEMPT, G_WEB_MATCHED, G_WEB_MEMCAP,
  G_WEB_HOLDS_GIVEN_UP, G_WEB_OPEN, G_WEB_RESPONSES_SKIPPED, G_WEB_TRANSACTIONS, G_WEB_UNPARSABLE, G_WEB_UPGRADES, G_WEB_WOULD_BLOCK, P_DROPS, P_FLOWS, P_HALF_OPEN, Verdict,
} from '../pipeline/index.js';
import { AppLayer, ProtocolRegistry } from '../protocols/index.js';
import { PcapMirror, PortSet, Switch, type PcapMirrorOptions, type Port, type SwitchPortConfig } from '../vswitch/index.js';
import { WebStage, type WebPolicies, type ExceptionPolicy, type TransactionSource, type WebMode } from '../web/index.js';
import { DataPlane, type RefusalHandler } from './data-plane.js';
import type { EngineSettings } from './engine-settings.js';
import { FlowFileCollector, type FlowFile, type FlowFileLimits } from '../file-events/index.js';
import { EveWriter, type FlowSummary } from './events/eve.js';
import { exceptionsOf } from './exceptions.js';
import type { EventSink } from './events/sink.js';
import { SwitchEvents } from './events/switch-events.js';
import { flowEndView, summarise } from './flow-report.js';
import { Fragments } from './fragments.js';
import { HeldRequests, type HoldOptions } from './held-requests.js';
import { WebAnswers } from './web-answers.js';

/** What the policy of its VM says about a port. */
export interface PortPolicy {
  readonly ips: 'prevent' | 'detect' | 'off';
  /** Name of the policy that selects its rules; none = all rules. */
  readonly rulePolicy?: string | undefined;
  readonly failOpenEngine: boolean;
  readonly failOpenSanity: boolean;
  /** Are requests to its VM judged by web rules? Default off. */
  readonly web?: WebMode;
}

/** All that a reload replaces. Immutable; the session takes it up between two batches. */
export interface PolicySnapshot {
  readonly generation: number;
  /** null = payload is not inspected. */
  readonly rules: RuleSet | null;
  /** Rules selected, by policy name. */
  readonly rulePolicies: ReadonlyMap<string, RuleBitmaps>;
  readonly firewall: FirewallPolicy | null;
  /** Firewall policy name by VM index, null = none. */
  readonly vmPolicies: readonly (string | null)[];
  /** By port index. */
  readonly ports: readonly PortPolicy[];
  /** Web protection; null = as it is. */
  readonly web: SessionWeb | null;
}

export interface SessionPort extends PortPolicy {
  readonly config: SwitchPortConfig;
  readonly port: Port;
  /** VM index, -1 = none. */
  readonly vm: number;
  /** What its VM, or the port itself when it belongs to none, may take of the shared tables; ports of one VM say the same. */
  readonly budget?: Budget;
  /** A passive port that can send answers (resets, ICMP errors) by a way of its own. */
  readonly answers?: boolean;
}

/** Web protection; see WebStageOptions. */
export interface SessionWeb {
  readonly engine: TransactionSource;
  readonly policies: WebPolicies;
  readonly clock: { ms: number };
  readonly unparsable: ExceptionPolicy;
  readonly memcap: number;
  readonly flowMemcap: number;
  readonly memcapPolicy: ExceptionPolicy;
  readonly maxPipelined: number;
  /** Hold requests until they are judged as a whole; null = only the packet that completes one. */
  readonly hold: HoldOptions | null;
}

export interface SessionOptions {
  readonly settings: EngineSettings;
  readonly ports: readonly SessionPort[];
  readonly vmNames: readonly string[];
  /** Firewall policy name by VM index, null = none. */
  readonly vmPolicies: readonly (string | null)[];
  readonly firewall: FirewallPolicy | null;
  /** null = payload is not inspected. */
  readonly rules: RuleSet | null;
  /** null or absent = no port has web protection. */
  readonly web?: SessionWeb | null;
  readonly rulePolicies?: ReadonlyMap<string, RuleBitmaps>;
  /** Notes what each rule costs. */
  readonly profile?: RuleProfile;
  readonly registry: ProtocolRegistry;
  readonly events: { readonly sink: EventSink; readonly types: ReadonlySet<string>; readonly packetSource: string; readonly host?: string; readonly dropsPerSecond: number };
  readonly counters?: Counters;
  readonly mirrors?: readonly PcapMirrorOptions[];
  readonly macTable?: { readonly size: number; readonly ageSeconds: number };
  /** Seeds of hash tables: random live, fixed in replay so that its output never changes. */
  readonly seed: number;
  /** Milliseconds of a clock that only goes forward, for the latency of batches; without it none is measured. */
  readonly clock?: () => number;
  /** Follows the files that flows carry. */
  readonly files?: { readonly limits: FlowFileLimits; readonly emit: (file: FlowFile, flow: FlowSummary) => void };
  /** Told when an engine threw; live this goes to the log. */
  readonly onEngineError: (text: string) => void;
}

/** Flows that may have a JavaScript object, as a share of the flow table. */
const MAX_FLOW_OBJECTS = 262_144;
const EXPIRE_BUDGET = 2000;

export class Session implements RefusalHandler {
  readonly batch = new FrameBatch();
  readonly counters: Counters;
  readonly ports: PortSet;
  readonly eve: EveWriter;
  readonly plane: DataPlane;
  readonly switchEvents: SwitchEvents;
  readonly switch: Switch;
  readonly table: FlowTable;
  /** null = files of flows are not followed. */
  files: FlowFileCollector | null = null;
  /** Of the policy that judges now. */
  generation = 1;
  /** Exceptions of engines: always 0, or there is something to repair. Each was handled by the failure policy. */
  engineErrors = 0;
  /** Without the policy it started with, which a reload replaces. */
  readonly #o: Omit<SessionOptions, 'rules' | 'rulePolicies' | 'firewall' | 'vmPolicies'>;
  readonly #pool: FlowPool;
  readonly #tracker: ConnTrack;
  readonly #defrag: Defragmenter;
  readonly #streams: StreamEngine;
  readonly #app: AppLayer;
  #ips: Ips | null;
  #firewall: Firewall | null;
  #firewallState: FirewallState | null = null;
  #reconBlockSeconds = 0;
  readonly #rejecter: Rejecter | null;
  readonly #web: WebStage | null;
  readonly #webAnswers: WebAnswers | null;
  readonly #mirrors: PcapMirror[] = [];
  /** By port index: 1 = an answer to a refused packet can be sent. */
  readonly #answers: Uint8Array;
  readonly #endView = new PacketView();
  /** No tenant numbering yet: flows are told apart by their VLAN. */
  readonly #zones: Int32Array;
  /** Result of the prefetch pass, kept so that its loads are not optimised away. */
  touched = 0;
  #maintainedSec = 0;

  /** @throws what opening a port or compiling a policy throws; nothing is left open then */
  constructor(options: SessionOptions) {
    // Closures of the constructor live as long as the session: none may hold the first policy.
    const { rules, rulePolicies, firewall, vmPolicies, ...o } = options;
    this.#o = o;
    const s = o.settings;
    const n = o.ports.length;
    this.#zones = new Int32Array(n);
    const names = o.ports.map((p) => p.config.name);
    const vmOfPort = o.ports.map((p) => (p.vm < 0 ? '' : o.vmNames[p.vm]!));
    this.counters = o.counters ?? new Counters(n);
    const budgets = budgetsOf(o.ports);
    this.table = new FlowTable({
      capacity: s.flowMax,
      seed: o.seed,
      timeouts: s.flowTimeouts,
      portShare: s.flowSharePercent / 100,
      budgets,
      advise: adviseHugePages,
    });
    this.#pool = new FlowPool(this.table, Math.min(s.flowMax, MAX_FLOW_OBJECTS));
    this.eve = new EveWriter({
      sink: o.events.sink,
      types: o.events.types,
      vmNames: vmOfPort,
      portNames: names,
      packetSource: o.events.packetSource,
      host: o.events.host ?? '',
      dropEventsPerSecond: o.events.dropsPerSecond,
      firewallRule: (sid) => this.#firewall?.rule(sid),
      markAlerted: (id) => this.table.mark(id, M_ALERTED),
      describeFlow: (id) => summarise(this.table, this.#pool, id, EndCause.TIMEOUT, vmOfPort),
    });
    const expectations = new Expectations(s.helpers);
    this.#tracker = new ConnTrack(this.table, { strict: s.strict, midstream: s.midstream ? 'loose' : 'off', asyncOneside: s.asyncOneside, expectations });
    this.#defrag = new Defragmenter({ inline: s.enforce, memcap: s.defragMemcap, maxDatagrams: s.defragMaxDatagrams, timeout: s.defragTimeout, minFirstFragment: s.defragMinFirst, minOffset: s.defragMinOffset, seed: o.seed, budgets });
    this.#app = new AppLayer(o.registry, this.eve, expectations);
    this.#app.inline = s.enforce || s.streamInline;
    this.#ips = this.#makeIps(rules);
    this.#firewall = this.#makeFirewall(firewall, vmPolicies);
    this.#setPorts(o.ports, rulePolicies ?? new Map());
    this.#web =
      o.web === null || o.web === undefined
        ? null
        : new WebStage({ ...o.web, events: this.eve, enforce: s.enforce, portModes: Uint8Array.from(o.ports, (p) => p.web ?? 0), vmNames: vmOfPort });
    this.#app.observer = this.#web;
    const { files } = o;
    if (files !== undefined) {
      this.files = new FlowFileCollector(files.limits, (flow, file) => files.emit(file, summarise(this.table, this.#pool, flow.id, EndCause.TIMEOUT, vmOfPort)));
      this.#app.files = this.files;
    }
    this.plane = new DataPlane({
      table: this.table,
      pool: this.#pool,
      tracker: this.#tracker,
      fragments: new Fragments(this.#defrag),
      app: this.#app,
      ips: this.#ips,
      web: this.#web,
      firewall: this.#firewall,
      firewallState: this.#firewallState,
      refusals: this,
      portVm: Int32Array.from(o.ports, (p) => p.vm),
      ...failOpen(o.ports),
      strict: s.strict,
      strictTunnels: s.strictTunnels,
      maxTunnelDepth: s.maxTunnelDepth,
      enforce: s.enforce,
      exceptions: exceptionsOf(s.exceptions),
      verifyChecksums: Uint8Array.from(o.ports, (p) => Number(s.verifyChecksums && p.config.passive !== true)),
    });
    this.#streams = new StreamEngine(this.table, this.#tracker.events, this.plane, {
      inline: s.enforce || s.streamInline,
      overlap: s.streamOverlap,
      midstream: s.midstream,
      asyncOneside: s.asyncOneside,
      depth: s.streamDepth,
      memcap: s.streamMemcap,
      budgets,
    });
    this.plane.streams = this.#streams;
    const hold = o.web?.hold ?? null;
    if (this.#web !== null && hold !== null && s.enforce) this.plane.held = new HeldRequests(hold, this.batch, this.#web);
    this.#pool.onRelease((flow) => this.#releaseFlow(flow));
    this.table.onEnd = (id, cause) => this.#flowEnds(id, cause);

    this.ports = new PortSet(this.batch);
    this.switchEvents = new SwitchEvents(this.eve, names);
    this.switch = new Switch(o.ports.map((p) => p.config), this.batch, this.counters, this.plane, this.ports, {
      macTable: { ...(o.macTable ? { size: o.macTable.size, ageSec: o.macTable.ageSeconds } : {}), seed: o.seed },
      onRefused: (view) => this.eve.drop(view, null),
      onAddress: this.switchEvents,
      onPortEvent: (port, event) => this.switchEvents.port(port, event),
    });
    this.#answers = Uint8Array.from(o.ports, (p) => Number(p.config.passive !== true || p.answers === true));
    this.#rejecter = s.enforce ? new Rejecter({ budgets }) : null;
    this.#webAnswers = this.#web === null || this.#rejecter === null ? null : new WebAnswers(this.#web, this.#rejecter, this.batch);
    this.#announceGeneration();
    try {
      o.ports.forEach((p, i) => this.ports.add(i, p.port));
      for (const options of o.mirrors ?? []) this.#mirrors.push(new PcapMirror(options));
    } catch (error) {
      this.ports.close();
      for (const mirror of this.#mirrors) mirror.close();
      throw error;
    }
    this.switch.observers.push(...this.#mirrors);
  }

  /** Refuse what this address sends, for so long. @returns false without a firewall policy, or when there is no room */
  blockSource(words: readonly [number, number, number, number], now: number, seconds: number): boolean {
    return this.#firewallState?.recon.block(words, now, seconds) ?? false;
  }

  #makeIps(rules: RuleSet | null): Ips | null {
    const s = this.#o.settings;
    if (rules === null) return null;
    this.#app.frames = rules.needsFrames;
    return new Ips(rules, this.eve, {
      mode: s.enforce ? 'ips' : 'ids',
      maxAlertsPerPacket: s.maxAlertsPerPacket,
      streamEvents: this.#tracker.events,
      packetEvents: this.#app.packetEvents,
      passive: !(s.enforce || s.streamInline),
      onAck: !s.asyncOneside,
      ...(this.#o.profile ? { profile: this.#o.profile } : {}),
      ...(this.#ips ? { previous: this.#ips } : {}),
    });
  }

  #makeFirewall(policy: FirewallPolicy | null, vmPolicies: readonly (string | null)[]): Firewall | null {
    this.#reconBlockSeconds = policy?.recon.blockSeconds ?? 0;
    if (policy === null) return null;
    this.#firewallState ??= new FirewallState(this.table, this.#o.seed);
    return new Firewall(policy, vmPolicies, this.generation, this.#firewallState, {
      logged: (view, vm, direction, sid) => this.#firewallEvent(view, 'logged', vm, direction, 0, sid),
      wouldDrop: (view, vm, direction, reason, sid) => this.#firewallEvent(view, 'would_drop', vm, direction, reason, sid),
    });
  }

  /** @throws RangeError when a port names a rule policy that is not there */
  #setPorts(ports: readonly PortPolicy[], rulePolicies: ReadonlyMap<string, RuleBitmaps>): void {
    const modes = { off: PortPolicies.OFF, detect: PortPolicies.DETECT, prevent: PortPolicies.PREVENT };
    ports.forEach(({ ips, rulePolicy }, i) => {
      const rules = rulePolicy === undefined ? null : rulePolicies.get(rulePolicy);
      if (rules === undefined) throw new RangeError(`no rule policy ${rulePolicy}`);
      this.#ips?.ports.set(i, modes[ips], rules, this.#o.ports[i]!.config.passive === true);
    });
  }

  /**
   * Judge by another policy from the next packet on. Call between two batches. Connections, reassembled bytes, flowbits,
   * thresholds and datasets stay; established connections are judged anew by the firewall, and by rules that were not there.
   * @throws RangeError when the snapshot contradicts itself; the policy before it stays in force then
   */
  replacePolicy(next: PolicySnapshot): void {
    const { generation } = this;
    const ips = this.#ips;
    const firewall = this.#firewall;
    try {
      this.generation = next.generation;
      this.#ips = this.#makeIps(next.rules);
      this.#firewall = this.#makeFirewall(next.firewall, next.vmPolicies);
      this.#setPorts(next.ports, next.rulePolicies);
    } catch (error) {
      this.generation = generation;
      this.#ips = ips;
      this.#firewall = firewall;
      throw error;
    }
    this.#web?.replaceModes(next.ports.map((p) => p.web ?? 0));
    if (next.web !== null) this.replaceWeb(next.web);
    this.plane.replacePolicy({ ips: this.#ips, firewall: this.#firewall, firewallState: this.#firewallState, ...failOpen(next.ports) });
    this.#announceGeneration();
  }

  #announceGeneration(): void {
    this.eve.generation = this.generation;
    this.counters.set(G_GENERATION, this.generation);
    this.counters.set(G_RULES, this.#ips?.rules.rules.length ?? 0);
  }

  /**
   * Receive, judge and send one batch.
   * @param timeoutMs how long to wait for a first frame
   * @returns frames received
   */
  step(timeoutMs: number): number {
    const n = this.ports.poll(timeoutMs);
    if (n === 0) return 0;
    const { clock } = this.#o;
    const started = clock === undefined ? 0 : clock();
    this.touched = this.table.touch(this.batch, this.#zones);
    const last = (n - 1) * D_STRIDE;
    this.switchEvents.sec = this.batch.desc[last + D_TS_SEC]!;
    this.switchEvents.usec = this.batch.desc[last + D_TS_USEC]!;
    this.switch.processBatch(this.switchEvents.sec, this.switchEvents.usec);
    if (clock !== undefined) this.counters.latency((clock() - started) * 1000);
    return n;
  }

  /** Timers and gauges; call after batches with the time of the traffic. Does its work once a second. */
  maintain(nowSec: number): void {
    if (nowSec === this.#maintainedSec) return;
    this.#maintainedSec = nowSec;
    this.table.expire(nowSec, EXPIRE_BUDGET);
    this.#defrag.expire(nowSec, EXPIRE_BUDGET);
    this.publish();
  }

  /** Copy what the engines count for themselves into the shared counters. */
  publish(): void {
    const c = this.counters;
    const t = this.table;
    c.set(G_FLOWS_ACTIVE, t.active);
    c.set(G_FLOWS_CREATED, t.inserted);
    c.set(G_FLOWS_ENDED, t.inserted - t.active);
    c.set(G_FLOWS_EVICTED, t.evicted);
    c.set(G_STREAM_BYTES, this.#streams.pool.inUse);
    c.set(G_STREAM_MEMCAP, this.#streams.memcapHits);
    c.set(G_NORMALISED, this.#streams.normalised);
    c.set(G_UNINSPECTED_BYTES, this.#streams.uninspectedBytes);
    c.set(G_FRAGMENTS, this.#defrag.active);
    if (this.#rejecter !== null) c.set(G_ANSWERS_LIMITED, this.#rejecter.limited);
    this.#publishPorts();
    if (this.#web !== null) this.#publishWeb(this.#web);
    c.set(G_ALERTS_ALLOWED, this.eve.alertsAllowed);
    c.set(G_ALERTS_BLOCKED, this.eve.alertsBlocked);
    if (this.#ips !== null) c.set(G_PCRE_LIMIT, this.#ips.context.counters.pcreLimit);
  }

  /** Judge web transactions that begin from now on by this; how requests are held stays as it is. */
  replaceWeb(next: SessionWeb): void {
    this.#web?.replaceEngine(next);
  }

  #publishWeb({ counters: w }: WebStage): void {
    const c = this.counters;
    c.set(G_WEB_TRANSACTIONS, w.transactions);
    c.set(G_WEB_MATCHED, w.matched);
    c.set(G_WEB_BLOCKED, w.blocked);
    c.set(G_WEB_WOULD_BLOCK, w.wouldBlock);
    c.set(G_WEB_EXEMPT, w.exempt);
    c.set(G_WEB_UPGRADES, w.upgrades);
    c.set(G_WEB_UNPARSABLE, w.unparsable);
    c.set(G_WEB_MEMCAP, w.memcap);
    c.set(G_WEB_RESPONSES_SKIPPED, w.responsesSkipped);
    c.set(G_WEB_HOLDS_GIVEN_UP, w.holdsGivenUp);
    c.set(G_WEB_OPEN, w.open);
    c.set(G_WEB_BODY_BYTES, w.bytes);
  }

  /** Flows by the port that opened them; a VM's stand at its first port. */
  #publishPorts(): void {
    for (let port = 0; port < this.#o.ports.length; port++) {
      this.counters.setPort(port, P_FLOWS, this.table.byPort[port]!);
      this.counters.setPort(port, P_HALF_OPEN, this.table.halfOpenByPort[port]!);
    }
  }

  /** Numbers for the `stats` event and for `replay --stats`. */
  statistics(): Record<string, unknown> {
    this.publish();
    const drops: Record<string, number> = {};
    for (let port = 0; port < this.#o.ports.length; port++) {
      for (let r = 1; r < DROP_REASONS.length; r++) {
        const k = this.counters.port(port, P_DROPS + r);
        if (k > 0) drops[DROP_REASONS[r]!.name] = (drops[DROP_REASONS[r]!.name] ?? 0) + k;
      }
    }
    return {
      flows: { active: this.table.active, created: this.table.inserted, evicted: this.table.evicted },
      alerts: { allowed: this.eve.alertsAllowed, blocked: this.eve.alertsBlocked },
      drops,
      app_layer: this.#app.stats,
      stream: { memory: this.#streams.pool.inUse, memcap: this.#streams.memcapHits, normalised: this.#streams.normalised, gaps: this.#streams.gaps },
      ips: this.#ips?.counters ?? {},
      ...(this.#web === null ? {} : { web: this.#web.counters }),
      ...(this.#mirrors.length > 0 ? { mirrors: this.#mirrors.map((m) => ({ written: m.written, limited: m.limited, failed: m.failed })) } : {}),
    };
  }

  portName(index: number): string {
    return this.#o.ports[index]!.config.name;
  }

  /** Why each mirror stopped writing, null while it does; in the order of the options. */
  mirrorErrors(): (Error | null)[] {
    return this.#mirrors.map((m) => m.error);
  }

  /** Hand on what is buffered: events and captures. */
  flush(): void {
    this.eve.flush();
    for (const mirror of this.#mirrors) mirror.flush();
  }

  /** End all flows (their events are written), flush and close the ports. The sink stays the caller's. */
  close(): void {
    this.table.removeAll(EndCause.SHUTDOWN);
    this.publish();
    this.ports.close();
    for (const mirror of this.#mirrors) mirror.close();
    this.eve.flush();
  }

  // ---- RefusalHandler ------------------------------------------------------------------------------------------

  refused(view: PacketView, flow: Flow | null): void {
    if (this.eve.logsDrops && this.#firewall?.silent !== true) this.eve.drop(view, flow ?? (view.flowId >= 0 ? this.#facts(view.flowId) : null));
    if (this.#webAnswers !== null && flow !== null && this.#web!.answer(flow) !== null) this.#answerWeb(this.#webAnswers, view, flow);
    else if (this.#rejecter !== null && (view.verdict === Verdict.REJECT || view.verdict === Verdict.REJECT_FLOW)) {
      this.#answer(this.#rejecter, view, this.#rejectSides(view));
    }
  }

  /** Whom the rule wants told: `reject` and the firewall tell the sender, and the receiver when the connection is over. */
  #rejectSides(view: PacketView): RejectSides {
    const rule = view.reason === DropReason.ips_rule ? this.#ips?.rules.find(view.ruleGid, view.ruleSid) : undefined;
    const sides = rule?.rejectSides ?? 'auto';
    return sides !== 'auto' ? sides : view.verdict === Verdict.REJECT_FLOW ? 'both' : 'src';
  }

  #answerWeb(answers: WebAnswers, view: PacketView, flow: Flow): void {
    const { ingress, egress } = view;
    if (this.#answers[ingress] === 0) return;
    if (this.#o.ports[ingress]!.config.passive === true) view.egress = ingress;
    if (view.reason === DropReason.web_rule) answers.blocked(view, flow);
    else if (view.reason === DropReason.flow_dropped) answers.talkedOn(view, flow);
    view.egress = egress;
  }

  /** Queue the RST or ICMP error; a full transmit table loses it, which the sender's retransmission repairs. */
  #answer(rejecter: Rejecter, view: PacketView, sides: RejectSides): void {
    const { ingress, egress } = view;
    if (this.#answers[ingress] === 0) return;
    // Overheard traffic: the way to either end is the port's own responder.
    if (this.#o.ports[ingress]!.config.passive === true) view.egress = ingress;
    const rows = rejecter.build(this.batch, view, sides !== 'src', sides !== 'dst');
    view.egress = egress;
    if (rows === 0) return;
    if (rejecter.senderRow >= 0) this.batch.send(rejecter.senderRow, rejecter.senderPort);
    if (rejecter.receiverRow >= 0) this.batch.send(rejecter.receiverRow, rejecter.receiverPort);
  }

  recon(view: PacketView, kind: ReconKind): void {
    // Of a scan from many addresses no single one is the culprit.
    const blocks = kind !== ReconKind.DISTRIBUTED_SCAN;
    const detail = kind >= ReconKind.PORT_SCAN ? this.#firewallState?.recon.describe(view) : undefined;
    const scan = detail && { protocol: detail.protocol, filtered: detail.filtered, ports: detail.ports, refused: detail.refused, hosts: detail.hosts, rejects: detail.rejects, open_ports: detail.openPorts };
    this.eve.firewall(view, 'recon', { detection: RECON_NAMES[kind], blocked_seconds: blocks ? this.#reconBlockSeconds : 0, ...(scan === undefined ? {} : { scan }) });
  }

  get noticesAnomalies(): boolean {
    return this.eve.logsAnomalies;
  }

  anomalies(view: PacketView, flow: Flow | null): void {
    const facts = flow ?? (view.flowId >= 0 ? this.#facts(view.flowId) : null);
    for (let i = 0; i < view.eventCount; i++) this.eve.anomaly(view, facts, 'decode', DECODE_EVENTS[view.events[i]!]!.name);
    if (view.proto !== PROTO_TCP || view.flowId < 0) return;
    const { ids, count } = this.#tracker.events;
    for (let i = 0; i < count; i++) this.eve.anomaly(view, facts, 'stream', STREAM_EVENTS[ids[i]!]!);
  }

  engineError(view: PacketView, error: unknown): void {
    this.#report(`frame ${view.frameNo || '(live)'} on ${this.portName(view.ingress)}`, error);
  }

  #report(where: string, error: unknown): void {
    this.engineErrors++;
    this.#o.onEngineError(`${where}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }

  // ---- flows -----------------------------------------------------------------------------------------------------

  #facts(id: number): { id: number; eveId: number; appProto: string } {
    return { id, eveId: this.table.eveId(id), appProto: this.#pool.appProtoOf(id) };
  }

  /** A connection is over: judge what is left, and keep no more of it than the record. */
  settled(id: number): void {
    this.#judgeEnd(id);
    this.#pool.settle(id);
  }

  #judgeEnd(id: number): void {
    const flow = this.#pool.flowOf(id);
    if (flow === null || (this.#ips === null && this.#web === null) || this.table.hasFlags(id, S_DROPPED)) return;
    try {
      for (let dir = 0; dir < 2; dir++) {
        flowEndView(this.#endView, this.table, id, dir);
        this.#streams.finish(this.#endView, flow, dir);
        this.#app.end(flow, dir);
        this.#ips?.inspectEnd(this.#endView, flow);
      }
      this.#app.settle(null, flow);
    } catch (error) {
      // Nothing is left to drop: the flow is over. The data plane goes on.
      this.#report(`end of flow ${this.table.eveId(id)}`, error);
    }
  }

  #flowEnds(id: number, cause: EndCause): void {
    this.#judgeEnd(id);
    this.#firewallState?.closed(id);
    if (this.#o.events.types.has('flow')) this.eve.flow(summarise(this.table, this.#pool, id, cause, this.#vmOfPort()));
  }

  #vmOfPort(): string[] {
    return this.#o.ports.map((p) => (p.vm < 0 ? '' : this.#o.vmNames[p.vm]!));
  }

  #releaseFlow(flow: Flow): void {
    this.#ips?.release(flow);
    this.plane.held?.discard(flow);
    if (flow.web !== null) this.#releaseWeb(flow);
    this.#app.release(flow);
    this.#streams.release(flow);
  }

  #releaseWeb(flow: Flow): void {
    try {
      this.#web?.release(flow);
    } catch (error) {
      this.#report(`web transactions of flow ${flow.eveId}`, error);
    }
  }

  #firewallEvent(view: PacketView, what: string, vm: number, direction: number, reason: number, sid: number): void {
    const rule = this.#firewall?.rule(sid);
    if (rule?.log === false) return;
    this.eve.firewall(view, 'firewall', {
      action: what,
      vm: this.#o.vmNames[vm],
      direction: direction === 0 ? 'in' : 'out',
      ...(reason !== 0 ? { reason: DROP_REASONS[reason]!.name } : {}),
      ...(sid !== 0 ? { rule: rule?.name ?? sid } : {}),
    }, sid);
  }
}

/** Ports of one VM share a budget; a port without a VM has its own. */
function budgetsOf(ports: readonly SessionPort[]): Budgets {
  const budgets = new Budgets();
  ports.forEach((port, i) => {
    if (port.vm >= 0 && ports.findIndex((p) => p.vm === port.vm) < i) return;
    const owned = port.vm < 0 ? [i] : ports.flatMap((p, k) => (p.vm === port.vm ? [k] : []));
    budgets.assign(owned, port.budget ?? {});
  });
  return budgets;
}

function failOpen(ports: readonly PortPolicy[]): { failOpenEngine: Uint8Array; failOpenSanity: Uint8Array } {
  return { failOpenEngine: Uint8Array.from(ports, (p) => Number(p.failOpenEngine)), failOpenSanity: Uint8Array.from(ports, (p) => Number(p.failOpenSanity)) };
}
