/** A driver in TypeScript over a UNIX socket: for tests and benchmarks of the server; the real one is guest/. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import {
  Capability, FieldWriter, FrameSplitter, MessageType, VERSION, applianceProof, decodeMessage, driverProof, encodeMessage, identityKey, sameProof,
  type ApplianceMessage, type DriverMessage, type EventKind,
} from '../../src/file-events/index.js';

const T = MessageType;

export interface SimOptions {
  readonly vm: string;
  readonly token: string;
  readonly kernel?: string;
  readonly version?: number;
}

export class SimDriver {
  readonly socket: Socket;
  /** What the appliance sent, in order; `take` removes. */
  readonly received: ApplianceMessage[] = [];
  closed = false;
  onMessage: ((m: ApplianceMessage) => void) | null = null;
  readonly #splitter = new FrameSplitter();
  readonly #writer = new FieldWriter();
  #wake: (() => void) | null = null;

  constructor(target: string | { readonly port: number; readonly ca: Buffer }) {
    this.socket = typeof target === 'string' ? connect(target) : connectTls({ host: 'localhost', port: target.port, ca: target.ca });
    this.socket.on('data', (chunk: Buffer) => {
      this.#splitter.push(chunk, chunk.length, (buf, at, length) => {
        const m = decodeMessage(buf, at, length) as ApplianceMessage;
        if (this.onMessage === null) this.received.push(m);
        else this.onMessage(m);
        return true;
      });
      this.#wake?.();
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.closed = true;
      this.#wake?.();
    });
  }

  send(m: DriverMessage): void {
    this.socket.write(Buffer.from(encodeMessage(this.#writer, m)));
  }

  /** @throws Error when the connection ends or nothing of that type comes within 5 s */
  async take<M extends ApplianceMessage>(type: M['type']): Promise<M> {
    const limit = Date.now() + 5000;
    for (;;) {
      const at = this.received.findIndex((m) => m.type === type);
      if (at >= 0) return this.received.splice(at, 1)[0] as M;
      if (this.closed) throw new Error(`connection closed, received ${this.received.map((m) => m.type.toString(16)).join(' ')}`);
      if (Date.now() > limit) throw new Error(`no message of type 0x${type.toString(16)}`);
      await new Promise<void>((settle) => {
        this.#wake = settle;
        setTimeout(settle, 100);
      });
    }
  }

  /** Shake hands. @returns the configuration; @throws when refused or when the appliance cannot prove itself */
  async login(o: SimOptions): Promise<Extract<ApplianceMessage, { type: 0x42 }>> {
    const challenge = await this.take<Extract<ApplianceMessage, { type: 0x40 }>>(T.CHALLENGE);
    const nonce = randomBytes(32);
    this.send({
      type: T.HELLO, version: o.version ?? VERSION, capabilities: Capability.OPEN_PERM | Capability.CLOSE_WRITE, nonce, proof: driverProof(o.token, challenge.nonce, nonce, o.vm),
      bootId: randomBytes(16), vm: o.vm, hostName: `${o.vm}.test`, kernel: o.kernel ?? 'test', driver: 'sim',
    });
    const welcome = await this.take<Extract<ApplianceMessage, { type: 0x41 }>>(T.WELCOME);
    if (!sameProof(welcome.proof, applianceProof(o.token, challenge.nonce, nonce, o.vm))) throw new Error('the appliance does not know the token');
    return this.take<Extract<ApplianceMessage, { type: 0x42 }>>(T.CONFIG);
  }

  event(id: number, path: string, options: { size?: number; inode?: number; kind?: EventKind; permission?: boolean; descriptor?: boolean } = {}): void {
    const identity = identityKey({ device: 1n, inode: BigInt(options.inode ?? id), size: BigInt(options.size ?? 10), mtimeNs: 1n, ctimeNs: 2n, change: 0n });
    this.send({
      type: T.EVENT, id, kind: options.kind ?? 1, permission: options.permission ?? true, mount: 0, meta: { identity, mode: 0o100644, uid: 0, gid: 0, nlink: 1 },
      size: options.size ?? 10, process: { pid: 1, uid: 0, image: '/bin/cat' }, waitedUs: 5, path, descriptor: options.descriptor ?? false,
    });
  }

  close(): void {
    this.socket.destroy();
  }
}
