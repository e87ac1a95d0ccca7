/** The evasion lab with web protection in front of the server, and a server that answers as the test says. */
import { WebMode, WebPolicies, type TransactionSource, type WebOverride } from '../../src/web/index.js';
import { Lab, type LabOptions } from './evasion-lab.js';
import { ACK, FIN, PSH, RST, latin1 } from './wire.js';

export interface WebLabOptions extends LabOptions {
  readonly engine: TransactionSource;
  readonly mode?: WebMode;
  readonly block?: 'reset' | 'page';
  readonly overrides?: readonly WebOverride[];
  readonly unparsable?: 'block' | 'pass';
  readonly flowMemcap?: number;
  readonly maxPipelined?: number;
  readonly hold?: { readonly requestBytes: number; readonly memcap: number; readonly timeoutMs: number };
}

/** A TCP segment as it came out of the appliance. */
export interface Segment {
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly data: string;
}

export interface WebEvent {
  readonly event_type: string;
  readonly event: string;
  readonly src_ip: string;
  readonly src_port: number;
  readonly src_vm: string;
  readonly dest_vm: string;
  readonly web: { readonly transaction_id: string; readonly action: string; readonly rule_id?: number; readonly phase?: number; readonly answer?: string; readonly url: string; readonly host?: string; readonly status?: number; readonly overrides?: string[] };
  readonly rules: { readonly id: number; readonly msg: string; readonly data: string; readonly severity: string }[];
}

const SERVER_ISN = 0x1000;

export class WebLab extends Lab {
  readonly events: WebEvent[];
  #sent = 0;
  #answered = 0;
  #before = 0;

  constructor(o: WebLabOptions) {
    const events: WebEvent[] = [];
    super({
      ...o,
      sink: { write: (line) => void events.push(JSON.parse(line) as WebEvent), flush: () => undefined, close: () => undefined },
      web: {
        mode: o.mode ?? WebMode.ON,
        engine: o.engine,
        clock: { ms: 0 },
        policies: new WebPolicies({ name: '', vms: null, hosts: null, block: o.block ?? 'reset', variables: new Map(), exclusions: [] }, o.overrides ?? []),
        unparsable: o.unparsable ?? 'block',
        memcap: 1 << 24,
        flowMemcap: o.flowMemcap ?? 1 << 20,
        memcapPolicy: 'block',
        maxPipelined: o.maxPipelined ?? 8,
        hold: o.hold ?? null,
      },
    });
    this.events = events;
    this.handshake();
  }

  /** Begin another connection; what came of those before is forgotten. */
  reconnect(): this {
    this.clientPort++;
    this.#sent = 0;
    this.#answered = 0;
    this.#before = this.host.text.length;
    this.events.length = 0;
    this.delivered.length = 0;
    this.returned.length = 0;
    return this.handshake();
  }

  /** Bytes from the client, in pieces of these sizes (the rest at once). */
  client(text: string, ...sizes: number[]): void {
    const bytes = latin1(text);
    let at = 0;
    for (const size of [...sizes, bytes.length]) {
      if (at >= bytes.length) break;
      const piece = bytes.slice(at, at + size);
      this.put(0, this.frame(this.#sent, piece, { ack: (SERVER_ISN + 1 + this.#answered) | 0 }));
      this.#sent += piece.length;
      at += size;
    }
  }

  /** Bytes from the server. */
  server(text: string, ...sizes: number[]): void {
    const bytes = latin1(text);
    let at = 0;
    for (const size of [...sizes, bytes.length]) {
      if (at >= bytes.length) break;
      const piece = bytes.slice(at, at + size);
      this.answer(ACK | PSH, { seq: (SERVER_ISN + 1 + this.#answered) | 0, data: piece });
      this.#answered += piece.length;
      at += size;
    }
  }

  clientCloses(): void {
    this.put(0, this.frame(this.#sent, '', { flags: ACK | FIN, ack: (SERVER_ISN + 1 + this.#answered) | 0 }));
  }

  /** What the server has read. */
  get served(): string {
    return this.host.text.slice(this.#before);
  }

  get toClient(): Segment[] {
    return this.returned.map(segmentOf).filter((s) => s !== null);
  }

  get toServer(): Segment[] {
    return this.delivered.map(segmentOf).filter((s) => s !== null);
  }

  /** Response text that reached the client. */
  get seen(): string {
    return this.toClient.map((s) => s.data).join('');
  }

  get clientWasReset(): boolean {
    return this.toClient.some((s) => (s.flags & RST) !== 0);
  }

  get serverWasReset(): boolean {
    return this.toServer.some((s) => (s.flags & RST) !== 0);
  }
}

function segmentOf(frame: Uint8Array): Segment | null {
  if (frame[12] !== 8 || frame[13] !== 0 || frame[23] !== 6) return null;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const l4 = 14 + (frame[14]! & 15) * 4;
  const end = 14 + view.getUint16(16);
  return { seq: view.getInt32(l4 + 4), ack: view.getInt32(l4 + 8), flags: frame[l4 + 13]!, data: Buffer.from(frame.subarray(l4 + (frame[l4 + 12]! >>> 4) * 4, end)).toString('latin1') };
}
