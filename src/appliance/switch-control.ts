/**
 * What operators ask of the running switch (`drawbridge switch ...`): its ports, MAC table and found addresses, approvals,
 * port states, and captures that end by themselves. Answered by the data-plane worker between two batches.
 */
import { formatIp, formatMac, parseIp } from '../packet/index.js';
import { DROP_REASONS, P_DROPS, P_FLOWS, P_FORWARDED, P_HALF_OPEN, P_RX_BYTES, P_RX_FRAMES, P_TX_BYTES, P_TX_FRAMES } from '../pipeline/index.js';
import {
  A_FIRST, A_IP, A_MAC_HI, A_MAC_LO, A_PORT, A_SEEN, A_SOURCES, A_STATE, ADDRESS_SOURCES, ADDRESS_STATES, PcapMirror, type PortState,
} from '../vswitch/index.js';
import type { Session } from './session.js';

/** An address that an operator approved; kept in `switch.approvals`. */
export interface Approval {
  readonly port: string;
  readonly ip: string;
  readonly vlan: number;
}

export type SwitchRequest =
  | { readonly op: 'ports'; readonly port?: string }
  | { readonly op: 'macs'; readonly port?: string }
  | { readonly op: 'addresses'; readonly port?: string }
  | { readonly op: 'approve' | 'revoke'; readonly port: string; readonly ip: string; readonly vlan?: number }
  | { readonly op: 'state'; readonly port: string; readonly state: PortState }
  | { readonly op: 'effective-mac'; readonly port: string; readonly mac: string }
  | { readonly op: 'capture'; readonly file: string; readonly port?: string; readonly filter?: string; readonly dropped?: boolean; readonly seconds: number }
  | { readonly op: 'capture-stop'; readonly file: string };

export interface SwitchAnswer {
  readonly ok: boolean;
  /** What went wrong, or what was done; for people. */
  readonly lines: readonly string[];
  /** One object per line of a listing. */
  readonly rows?: readonly Readonly<Record<string, unknown>>[];
  /** After approve and revoke: the approval that stands or fell. */
  readonly approval?: Approval;
}

/** Rows of one answer: a MAC table may hold a million. */
const MOST_ROWS = 10_000;
const MOST_CAPTURES = 4;
const CAPTURE_SECONDS_MAX = 3600;
/** The command that started a capture ends it and asks what it wrote; without it the capture ends a little later. */
const GRACE_SECONDS = 5;
const CAPTURE_BYTES = 256 * 1024 * 1024;
const OPS = ['ports', 'macs', 'addresses', 'approve', 'revoke', 'state', 'effective-mac', 'capture', 'capture-stop'];

interface Capture {
  readonly mirror: PcapMirror;
  readonly file: string;
  readonly until: number;
}

/** A request that makes no sense; the message is the answer. */
class Refused extends Error {}

export class SwitchControl {
  readonly #session: Session;
  readonly #names: readonly string[];
  readonly #vms: readonly string[];
  readonly #captures: Capture[] = [];

  /** @param vms VM name by port index, '' = none */
  constructor(session: Session, names: readonly string[], vms: readonly string[]) {
    this.#session = session;
    this.#names = names;
    this.#vms = vms;
  }

  /** Answer one request. Never throws: whatever was asked, the data plane goes on. @param nowSec clock of the traffic */
  answer(request: SwitchRequest, nowSec: number): SwitchAnswer {
    try {
      return this.#answer(request, nowSec);
    } catch (error) {
      return { ok: false, lines: [error instanceof Error ? error.message : String(error)] };
    }
  }

  /** Approvals of earlier runs. @returns what could not be taken up, in words */
  restore(approvals: readonly Approval[], nowSec: number): string[] {
    return approvals.flatMap((a) => {
      const { ok, lines } = this.answer({ op: 'approve', ...a }, nowSec);
      return ok ? [] : [`approval of ${a.ip} on port ${a.port}: ${lines.join('; ')}`];
    });
  }

  /** Captures end by themselves; call now and then. */
  maintain(nowSec: number): void {
    for (const capture of this.#captures.filter((c) => nowSec >= c.until || c.mirror.error !== null)) this.#end(capture);
  }

  close(): void {
    while (this.#captures.length > 0) this.#end(this.#captures[0]!);
  }

  #answer(request: SwitchRequest, nowSec: number): SwitchAnswer {
    switch (request.op) {
      case 'ports':
        return { ok: true, lines: [], rows: this.#selected(request.port).map((index) => this.#port(index, request.port !== undefined)) };
      case 'macs':
        return this.#macs(request.port, nowSec);
      case 'addresses':
        return this.#addresses(request.port, nowSec);
      case 'approve':
        return this.#approve(request.port, request.ip, request.vlan, nowSec);
      case 'revoke':
        return this.#revoke(request.port, request.ip, request.vlan);
      case 'state':
        if (!['up', 'down', 'quarantine'].includes(request.state)) throw new Refused(`"${request.state}" is no state; known: up, down, quarantine`);
        this.#session.switch.setPortState(this.#index(request.port), request.state);
        return { ok: true, lines: [`port ${request.port} is ${request.state}`] };
      case 'effective-mac': {
        const index = this.#index(request.port);
        this.#session.switch.setEffectiveMac(index, request.mac);
        return { ok: true, lines: [`the adapter of port ${request.port} carries ${request.mac}${this.#session.switch.isMacChanged(index) ? ': nothing is delivered until it is set back' : ''}`] };
      }
      case 'capture':
        return this.#capture(request, nowSec);
      case 'capture-stop': {
        const capture = this.#captures.find((c) => c.file === request.file);
        if (capture === undefined) throw new Refused(`no capture writes ${request.file} (any more)`);
        return { ok: true, lines: [this.#end(capture)] };
      }
      default:
        throw new Refused(`unknown request "${String((request as { op: unknown }).op)}"; known: ${OPS.join(', ')}`);
    }
  }

  #index(name: string): number {
    const index = this.#names.indexOf(name);
    if (index < 0) throw new Refused(`there is no port "${name}"; known: ${this.#names.join(', ')}`);
    return index;
  }

  #selected(name: string | undefined): number[] {
    return name === undefined ? this.#names.map((_, i) => i) : [this.#index(name)];
  }

  #port(index: number, drops: boolean): Record<string, unknown> {
    const { counters } = this.#session;
    const info = this.#session.switch.portInfo(index);
    const of = (column: number): number => counters.port(index, column);
    const byReason = DROP_REASONS.flatMap(({ name }, r) => (r > 0 && of(P_DROPS + r) > 0 ? [[name, of(P_DROPS + r)] as const] : []));
    return {
      port: this.#names[index],
      vm: this.#vms[index],
      state: info.state,
      vlans: info.vlans,
      macs: info.macs,
      ...(info.macChanged ? { mac_changed: true } : {}),
      learned: this.#session.switch.macs.portCount(index),
      flows: of(P_FLOWS),
      half_open: of(P_HALF_OPEN),
      rx_frames: of(P_RX_FRAMES),
      rx_bytes: of(P_RX_BYTES),
      tx_frames: of(P_TX_FRAMES),
      tx_bytes: of(P_TX_BYTES),
      forwarded: of(P_FORWARDED),
      dropped: counters.dropTotal(index),
      ...(drops ? { drops: Object.fromEntries(byReason) } : {}),
    };
  }

  #macs(name: string | undefined, nowSec: number): SwitchAnswer {
    const wanted = name === undefined ? -1 : this.#index(name);
    const rows: Record<string, unknown>[] = [];
    let more = 0;
    this.#session.switch.macs.forEach((vlan, hi, lo, port, seen) => {
      if (wanted >= 0 && port !== wanted) return;
      if (rows.length >= MOST_ROWS) more++;
      else rows.push({ mac: formatMac(hi, lo), vlan, port: this.#names[port], age_seconds: seen < 0 ? null : nowSec - seen, static: seen < 0 });
    });
    return { ok: true, lines: more > 0 ? [`and ${more} more`] : [], rows };
  }

  #addresses(name: string | undefined, nowSec: number): SwitchAnswer {
    const wanted = name === undefined ? -1 : this.#index(name);
    const table = this.#session.switch.addresses;
    const rows: Record<string, unknown>[] = [];
    let more = 0;
    table.forEach((row) => {
      const port = table.word(row, A_PORT);
      if (wanted >= 0 && port !== wanted) return;
      if (rows.length >= MOST_ROWS) {
        more++;
        return;
      }
      rows.push({
        port: this.#names[port],
        ip: formatIp(table.isV6(row) ? 6 : 4, table.word(row, A_IP), table.word(row, A_IP + 1), table.word(row, A_IP + 2), table.word(row, A_IP + 3)),
        mac: formatMac(table.word(row, A_MAC_HI), table.word(row, A_MAC_LO)),
        vlan: table.vlan(row),
        state: ADDRESS_STATES[table.word(row, A_STATE)],
        sources: ADDRESS_SOURCES.filter((_, bit) => (table.word(row, A_SOURCES) & (1 << bit)) !== 0),
        first_seconds_ago: nowSec - table.word(row, A_FIRST),
        seen_seconds_ago: nowSec - table.word(row, A_SEEN),
      });
    });
    return { ok: true, lines: more > 0 ? [`and ${more} more`] : [], rows };
  }

  /** Where an address counts: on access ports there is one VLAN. */
  #place(name: string, ip: string, vlan: number | undefined): { index: number; approval: Approval; v6: boolean; words: [number, number, number, number] } {
    const index = this.#index(name);
    const { vlans } = this.#session.switch.portInfo(index);
    if (vlan === undefined && vlans.length !== 1) throw new Refused(`port ${name} is in several VLANs: say which (--vlan)`);
    if (vlan !== undefined && !vlans.includes(vlan)) throw new Refused(`port ${name} is not in VLAN ${vlan}`);
    const { version, words } = parseIp(ip);
    return { index, v6: version === 6, words: [words[0]!, words[1] ?? 0, words[2] ?? 0, words[3] ?? 0], approval: { port: name, ip: formatIp(version, words[0]!, words[1] ?? 0, words[2] ?? 0, words[3] ?? 0), vlan: vlan ?? vlans[0]! } };
  }

  #approve(name: string, ip: string, vlan: number | undefined, nowSec: number): SwitchAnswer {
    const { index, v6, words, approval } = this.#place(name, ip, vlan);
    const { macWords } = this.#session.switch.portInfo(index);
    const table = this.#session.switch.addresses;
    switch (table.approve(index, approval.vlan, v6, ...words, macWords[0] ?? 0, macWords[1] ?? 0, nowSec)) {
      case '':
        return { ok: true, lines: [`${ip} is approved on port ${name}`], approval };
      case 'held':
        throw new Refused(`${ip} is held by port ${this.#names[table.holder(approval.vlan, v6, ...words)]}: revoke it there first`);
      case 'full':
        throw new Refused(`port ${name} has no room for another address`);
      default:
        throw new Refused(`port ${name} has neither security.discovery nor security.spoof_guard`);
    }
  }

  #revoke(name: string, ip: string, vlan: number | undefined): SwitchAnswer {
    const { index, v6, words, approval } = this.#place(name, ip, vlan);
    if (!this.#session.switch.addresses.revoke(index, approval.vlan, v6, ...words)) throw new Refused(`port ${name} does not have ${ip}`);
    return { ok: true, lines: [`${ip} is forgotten on port ${name}`], approval };
  }

  #capture(request: Extract<SwitchRequest, { op: 'capture' }>, nowSec: number): SwitchAnswer {
    const { file, port, filter, seconds } = request;
    if (!Number.isInteger(seconds) || seconds < 1 || seconds > CAPTURE_SECONDS_MAX) throw new Refused(`a capture takes 1 to ${CAPTURE_SECONDS_MAX} seconds`);
    if (this.#captures.some((c) => c.file === file)) throw new Refused(`a capture writes ${file} already`);
    if (this.#captures.length >= MOST_CAPTURES) throw new Refused(`${MOST_CAPTURES} captures run already`);
    const mirror = new PcapMirror({
      file,
      maxFiles: 1,
      maxFileBytes: CAPTURE_BYTES,
      droppedOnly: request.dropped === true,
      ...(request.dropped === true ? { direction: 'in' as const } : {}),
      ...(port === undefined ? {} : { ports: [this.#index(port)] }),
      ...(filter === undefined ? {} : { filter }),
    });
    const capture = { mirror, file, until: nowSec + seconds + GRACE_SECONDS };
    this.#captures.push(capture);
    this.#session.switch.observers.push(mirror);
    return { ok: true, lines: [`capturing to ${file} for ${seconds} s`] };
  }

  #end(capture: Capture): string {
    const { observers } = this.#session.switch;
    observers.splice(observers.indexOf(capture.mirror), 1);
    this.#captures.splice(this.#captures.indexOf(capture), 1);
    capture.mirror.close();
    const { written, error } = capture.mirror;
    return `${written} frames written to ${capture.file}${error === null ? '' : `; stopped: ${error.message}`}`;
  }
}
