/**
 * One driver: proves who it is, sends events and answers. What it sends is never trusted: a malformed frame ends the connection,
 * everything it can make grow is bounded, and a driver that does not read or does not answer is cut off.
 */
import { fstatSync } from 'node:fs';
import { closeFd } from '@drawbridge/native';
import type { Digested, Disposition, DriverSession, LogChunk, OpenedFile, RestoredMeta } from '../handler.js';
import { decodeMessage, encodeMessage } from '../protocol/codec.js';
import {
  Capability, FileVerdict, MAX_CHUNK, MAX_OUTSTANDING, MAX_PENDING_DESCRIPTORS, MessageType, NONCE_BYTES, REFUSAL_NAMES, Refusal, VERSION,
} from '../protocol/limits.js';
import type { ApplianceMessage, Data, Digest, DriverConfig, DriverMessage, DriverStats, Entries, Entry, EventMessage, Hello, IdentityKey, LogData, Opened, Result } from '../protocol/messages.js';
import { FrameSplitter } from '../protocol/splitter.js';
import { FieldWriter, ProtocolError } from '../protocol/wire.js';
import { LocalContent, RemoteContent } from './content.js';
import { DriverError } from './errors.js';
import type { ConnectionHost } from './host.js';
import { PendingEvent } from './pending-event.js';
import { Requests } from './requests.js';
import { Stream } from './stream.js';
import type { PeerInfo, Transport, TransportReader } from './transport.js';

const T = MessageType;
/** Before HELLO is accepted nobody may make the appliance buffer more than one. */
const MAX_HELLO = 1200;
export const HELLO_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 30_000;
/** Beyond this the driver does not read what it is sent. */
const MAX_UNSENT = 1024 * 1024;
/** One for the whole thread: a frame is copied out before the next is built. */
const writer = new FieldWriter(4096);

export class DriverConnection implements DriverSession, TransportReader {
  readonly #host: ConnectionHost;
  readonly #transport: Transport;
  #splitter = new FrameSplitter(MAX_HELLO);
  readonly #nonce: Uint8Array;
  readonly #sinceMs: number;
  #heardMs: number;
  #state: 'hello' | 'open' | 'closed' = 'hello';
  #hello: Hello | null = null;
  #config: DriverConfig | null = null;
  readonly #events = new Map<number, PendingEvent>();
  readonly #requests = new Requests();
  readonly #lists = new Map<number, Stream<readonly Entry[]>>();
  readonly #follows = new Map<number, Stream<LogChunk>>();
  readonly #descriptors: number[] = [];
  readonly #onFrame = (buf: Buffer, at: number, length: number): boolean => {
    this.#receive(decodeMessage(buf, at, length) as DriverMessage);
    return this.#state !== 'closed';
  };
  readonly #count = (bytes: number): void => {
    this.#host.counters.bytesRead += bytes;
  };
  stats: DriverStats | null = null;

  constructor(transport: Transport, host: ConnectionHost) {
    this.#transport = transport;
    this.#host = host;
    this.#nonce = host.randomBytes(NONCE_BYTES);
    this.#sinceMs = this.#heardMs = host.nowMs();
    this.#send({ type: T.CHALLENGE, minVersion: VERSION, maxVersion: VERSION, nonce: this.#nonce });
  }

  // ---- DriverSession

  get vm(): string {
    return this.#hello?.vm ?? '';
  }

  get bootId(): string {
    return this.#hello === null ? '' : Buffer.from(this.#hello.bootId).toString('hex');
  }

  get hostName(): string {
    return this.#hello?.hostName ?? '';
  }

  get kernel(): string {
    return this.#hello?.kernel ?? '';
  }

  get driver(): string {
    return this.#hello?.driver ?? '';
  }

  get capabilities(): number {
    return this.#hello?.capabilities ?? 0;
  }

  get peer(): string {
    return this.#transport.peer.name;
  }

  get peerInfo(): PeerInfo {
    return this.#transport.peer;
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  get outstanding(): number {
    return this.#events.size;
  }

  async openFile(path: string): Promise<OpenedFile> {
    const id = this.#requests.nextId();
    const answer = await this.#ask<Opened>({ type: T.OPEN, id, path }, T.OPENED, `open ${path}`);
    const fd = this.#takeDescriptor(answer.descriptor);
    const size = sizeOf(answer.meta.identity);
    const content = fd >= 0 ? new LocalContent(fd, size, answer.meta.identity, this.#count) : new RemoteContent(this, answer.file, size);
    return {
      meta: answer.meta,
      size,
      get fd() {
        return content.fd;
      },
      read: (offset, length) => content.read(offset, length),
      sha256: () => content.sha256(),
      close: async () => {
        if (content instanceof LocalContent && content.fd >= 0) {
          content.release();
          closeFd(fd);
        }
        if (this.open) await this.#ask<Result>({ type: T.CLOSE, id: this.#requests.nextId(), file: answer.file }, T.RESULT, 'close');
      },
    };
  }

  list(path: string, hashUpTo: number): AsyncIterable<readonly Entry[]> {
    const id = this.#requests.nextId();
    const stream = this.#stream<readonly Entry[]>(id, this.#lists);
    if (this.open) this.#send({ type: T.LIST, id, path, hashUpTo });
    return stream;
  }

  follow(path: string, offset: number): AsyncIterable<LogChunk> {
    const id = this.#requests.nextId();
    const stream = this.#stream<LogChunk>(id, this.#follows);
    if (this.open) {
      this.#ask<Result>({ type: T.FOLLOW, id, path, offset }, T.RESULT, `follow ${path}`).catch((error: DriverError) => {
        this.#follows.delete(id);
        stream.end(error);
      });
    }
    return stream;
  }

  async remove(path: string, identity: IdentityKey): Promise<void> {
    await this.#ask<Result>({ type: T.REMOVE, id: this.#requests.nextId(), path, identity }, T.RESULT, `remove ${path}`);
  }

  async restore(path: string, meta: RestoredMeta, content: AsyncIterable<Uint8Array>): Promise<void> {
    const { file } = await this.#ask<Result>({ type: T.CREATE, id: this.#requests.nextId(), path, ...meta }, T.RESULT, `restore ${path}`);
    try {
      let offset = 0;
      for await (const piece of content) {
        for (let at = 0; at < piece.length; at += MAX_CHUNK) {
          const bytes = piece.subarray(at, at + MAX_CHUNK);
          await this.#ask<Result>({ type: T.WRITE, id: this.#requests.nextId(), file, offset, bytes }, T.RESULT, `restore ${path}`);
          offset += bytes.length;
        }
      }
    } catch (error) {
      // Nothing half restored stays behind; that the content could not be had is what the caller must hear.
      if (this.open) this.#send({ type: T.CLOSE, id: this.#requests.nextId(), file });
      throw error;
    }
    await this.#ask<Result>({ type: T.COMMIT, id: this.#requests.nextId(), file }, T.RESULT, `restore ${path}`);
  }

  forget(epoch: number): void {
    if (this.open) this.#send({ type: T.FORGET, id: 0, epoch });
  }

  async readRemote(file: number, offset: number, length: number): Promise<Uint8Array> {
    const { bytes } = await this.#ask<Data>({ type: T.READ, id: this.#requests.nextId(), file, offset, length }, T.DATA, 'read');
    this.#count(bytes.length);
    return bytes;
  }

  async hashRemote(file: number): Promise<Digested> {
    const { sha256, identity } = await this.#ask<Digest>({ type: T.HASH, id: this.#requests.nextId(), file }, T.DIGEST, 'hash');
    return { sha256, identity, trusted: false };
  }

  // ---- what the server does with it

  /** Send a policy, now or again. */
  configure(config: DriverConfig): void {
    this.#config = config;
    this.#send(config);
  }

  /** Look at the clock: too late a HELLO, silence, requests without answer. */
  tick(nowMs: number): void {
    if (this.#state === 'hello') {
      if (nowMs - this.#sinceMs > HELLO_TIMEOUT_MS) this.refuse(Refusal.TOO_SLOW, 'no HELLO in time');
      return;
    }
    this.#host.counters.requestTimeouts += this.#requests.expire(nowMs);
    if (this.#config !== null && nowMs - this.#heardMs > 3 * this.#config.heartbeatMs) {
      this.#host.counters.tooSlow++;
      this.end('the driver is silent');
    }
  }

  refuse(reason: Refusal, text: string): void {
    if (this.#state === 'closed') return;
    this.#host.counters.refused++;
    this.#send({ type: T.REFUSED, reason, text });
    this.end(`refused (${REFUSAL_NAMES[reason]}): ${text}`);
  }

  /** Close, from this end. */
  end(reason: string): void {
    this.#transport.close();
    this.closed(reason);
  }

  // ---- TransportReader

  bytes(buf: Buffer, length: number): void {
    if (this.#state === 'closed') return;
    this.#heardMs = this.#host.nowMs();
    try {
      this.#splitter.push(buf, length, this.#onFrame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#host.counters.protocolErrors++;
      this.refuse(Refusal.PROTOCOL, error.message.slice(0, 200));
    }
  }

  descriptors(fds: readonly number[]): void {
    this.#host.counters.descriptors += fds.length;
    this.#descriptors.push(...fds);
    if (this.#state === 'open' && this.#descriptors.length <= MAX_PENDING_DESCRIPTORS) return;
    this.#host.counters.protocolErrors++;
    this.#closeDescriptors();
    this.refuse(Refusal.PROTOCOL, 'descriptors without frames');
  }

  closed(reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#closeDescriptors();
    const gone = new DriverError('ECANCELED', 'the connection ended');
    this.#requests.failAll(gone);
    for (const stream of this.#lists.values()) stream.end(gone);
    for (const stream of this.#follows.values()) stream.end(gone);
    this.#lists.clear();
    this.#follows.clear();
    for (const event of this.#events.values()) {
      this.#host.counters.cancelled++;
      event.cancel();
    }
    this.#events.clear();
    this.#host.ended(this, reason);
  }

  // ---- frames

  #send(message: ApplianceMessage): void {
    if (this.#state === 'closed') return;
    this.#transport.write(encodeMessage(writer, message));
    if (this.#transport.unsent > MAX_UNSENT) {
      this.#host.counters.tooSlow++;
      this.end('the driver does not read');
    }
  }

  async #ask<A extends Data | Digest | Opened | Result>(request: ApplianceMessage & { readonly id: number }, type: A['type'], what: string): Promise<A> {
    if (!this.open) throw new DriverError('ECANCELED', 'the connection ended');
    const answer = this.#requests.expect<A>(request.id, type, this.#host.nowMs() + REQUEST_TIMEOUT_MS);
    this.#send(request);
    const settled = await answer;
    if (settled.status !== 0) throw DriverError.fromStatus(settled.status, what);
    return settled;
  }

  #stream<I>(id: number, table: Map<number, Stream<I>>): Stream<I> {
    const stream = new Stream<I>(
      () => this.#send({ type: T.MORE, id, count: 1 }),
      () => {
        table.delete(id);
        this.#send({ type: T.STOP, id });
      },
    );
    if (this.open) table.set(id, stream);
    else stream.end(new DriverError('ECANCELED', 'the connection ended'));
    return stream;
  }

  #receive(m: DriverMessage): void {
    if (this.#state === 'hello') {
      if (m.type !== T.HELLO) throw new ProtocolError('HELLO expected');
      this.#authenticate(m);
      return;
    }
    switch (m.type) {
      case T.EVENT:
        this.#event(m);
        return;
      case T.CANCEL:
        this.#cancelled(m.id);
        return;
      case T.DATA:
      case T.DIGEST:
      case T.RESULT:
        this.#requests.answer(m);
        return;
      case T.OPENED:
        // Nobody waits any more: its descriptor must still be taken off the queue, and the guest's file closed.
        if (!this.#requests.answer(m)) {
          const fd = this.#takeDescriptor(m.descriptor);
          if (fd >= 0) closeFd(fd);
          if (m.status === 0) this.#send({ type: T.CLOSE, id: this.#requests.nextId(), file: m.file });
        }
        return;
      case T.ENTRIES:
        this.#entries(m);
        return;
      case T.LOG_DATA:
        this.#logData(m);
        return;
      case T.CHANGE:
        if ((this.capabilities & Capability.PROBE) !== 0) throw new ProtocolError('a probe has no changes');
        this.#host.counters.changes++;
        this.#host.handler.changed({ kind: m.kind, path: m.path, process: m.process, mount: this.#config?.mounts[m.mount]?.path ?? '', session: this });
        return;
      case T.PING: {
        const { type: _type, id, ...stats } = m;
        this.stats = stats;
        this.#send({ type: T.PONG, id });
        return;
      }
      default:
        throw new ProtocolError(`message type ${m.type} is not for the appliance`);
    }
  }

  #authenticate(hello: Hello): void {
    const problem = this.#host.admit(hello, this.#nonce, this.#transport.peer);
    if (problem !== null) {
      this.refuse(problem.reason, problem.text);
      return;
    }
    this.#hello = hello;
    this.#state = 'open';
    this.#splitter = new FrameSplitter();
    this.#send({ type: T.WELCOME, version: VERSION, proof: this.#host.prove(hello, this.#nonce) });
    this.#host.authenticated(this);
  }

  #event(m: EventMessage): void {
    if (this.#events.size >= MAX_OUTSTANDING) throw new ProtocolError('too many events at a time');
    if ((this.capabilities & Capability.PROBE) !== 0) throw new ProtocolError('a probe has no events');
    if (this.#events.has(m.id)) throw new ProtocolError('event id in use');
    const fd = this.#takeDescriptor(m.descriptor);
    const { counters } = this.#host;
    const mount = this.#config?.mounts[m.mount];
    const event = new PendingEvent(m, this, this, this.#count, fd, mount?.path ?? '', mount?.timeoutMs ?? 0, this.#host.nowMs());
    this.#events.set(m.id, event);
    counters.events[m.kind]!++;
    let judged: Disposition | Promise<Disposition>;
    try {
      judged = this.#host.handler.judge(event);
    } catch (error) {
      this.#failed(event, error);
      return;
    }
    if (judged instanceof Promise) {
      judged.then(
        (disposition) => this.#dispose(event, disposition),
        (error: unknown) => this.#failed(event, error),
      );
    } else this.#dispose(event, judged);
  }

  #dispose(event: PendingEvent, disposition: Disposition): void {
    this.#finish(event);
    if (event.cancelled) return;
    this.#events.delete(event.id);
    const { counters } = this.#host;
    if (event.permission) {
      if (disposition.verdict === FileVerdict.DENY) counters.denied++;
      else counters.allowed++;
      counters.waited(this.#host.nowMs() - event.raisedMs);
    }
    this.#send({ type: T.DISPOSITION, id: event.id, verdict: disposition.verdict, remember: disposition.remember });
  }

  /** No verdict: the driver's failure policy decides when its time is over. */
  #failed(event: PendingEvent, error: unknown): void {
    this.#finish(event);
    // An event nobody waits for may well end with ECANCELED.
    if (event.cancelled) return;
    this.#host.counters.failed++;
    this.#host.log(`${this.vm}: judging ${JSON.stringify(event.path)} failed: ${error instanceof Error ? error.message : String(error)}`);
  }

  /** Its descriptor was lent until the verdict path is through with it. */
  #finish(event: PendingEvent): void {
    event.release();
    if (event.fd >= 0) closeFd(event.fd);
  }

  #cancelled(id: number): void {
    const event = this.#events.get(id);
    // The disposition may have crossed it on the way.
    if (event === undefined) return;
    this.#events.delete(id);
    this.#host.counters.cancelled++;
    event.cancel();
  }

  #entries(m: Entries): void {
    const stream = this.#lists.get(m.id);
    // After STOP a few frames may still be on the way.
    if (stream === undefined) return;
    if (m.entries.length > 0) stream.push(m.entries);
    else if (!m.last) this.#send({ type: T.MORE, id: m.id, count: 1 });
    if (!m.last) return;
    this.#lists.delete(m.id);
    stream.end(m.status === 0 ? null : DriverError.fromStatus(m.status, 'list'));
  }

  #logData(m: LogData): void {
    this.#follows.get(m.id)?.push({ offset: m.offset, rotated: m.rotated, identity: m.identity, bytes: m.bytes });
  }

  // ---- descriptors

  /** @returns the descriptor of a frame that announces one; -1 without, or when it is no regular file */
  #takeDescriptor(announced: boolean): number {
    if (!announced) return -1;
    const fd = this.#descriptors.shift();
    if (fd === undefined) throw new ProtocolError('frame without its descriptor');
    // A FIFO or a device could make a read wait for ever.
    if (fstatSync(fd).isFile()) return fd;
    this.#host.counters.descriptorsRefused++;
    closeFd(fd);
    return -1;
  }

  #closeDescriptors(): void {
    for (const fd of this.#descriptors) closeFd(fd);
    this.#descriptors.length = 0;
  }
}

function sizeOf(identity: IdentityKey): number {
  return Number(Buffer.from(identity.slice(16, 24), 'latin1').readBigUInt64BE());
}
