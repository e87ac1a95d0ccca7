/**
 * UNIX and vsock listeners and their connections: one epoll set, one receive buffer, no object per read. Each ready connection
 * gives up to READ_BYTES a turn, so that one that floods does not keep the others waiting.
 */
import { chmodSync, unlinkSync } from 'node:fs';
import { POLL_IN, POLL_OUT, Poller, acceptSocket, closeFd, listenUnix, listenVsock, receiveSocket, sendSocket } from '@drawbridge/native';
import { SendQueue, type PeerInfo, type Transport, type TransportReader } from './transport.js';

const READ_BYTES = 32 * 1024;
const MAX_DESCRIPTORS = 16;
const READY = 64;
const EAGAIN = -11;
const EINTR = -4;
const POLL_ERROR = 8;
const POLL_HANGUP = 16;
/** Connections accepted per turn. */
const ACCEPT_BATCH = 16;

export class LocalHub {
  readonly #onConnect: (transport: Transport) => TransportReader | null;
  readonly #log: (text: string) => void;
  readonly #poller: Poller;
  readonly #ready = new Int32Array(READY * 2);
  readonly #buf = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #descriptors = new Int32Array(MAX_DESCRIPTORS + 1);
  readonly #listeners = new Map<number, { kind: 'unix' | 'vsock'; path: string }>();
  readonly #connections = new Map<number, LocalTransport>();
  readonly #dirty: LocalTransport[] = [];
  #flushAsked = false;
  #inTurn = false;
  #closed = false;

  /** @param onConnect gives the reader of a new connection, or null to refuse it */
  constructor(onConnect: (transport: Transport) => TransportReader | null, log: (text: string) => void) {
    this.#onConnect = onConnect;
    this.#log = log;
    this.#poller = new Poller(() => this.#turn());
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** @throws the system error */
  listenUnix(path: string, mode: number): void {
    const fd = listenUnix(path, mode);
    chmodSync(path, mode);
    this.#listeners.set(fd, { kind: 'unix', path });
    this.#poller.add(fd, POLL_IN);
  }

  /** @throws the system error (EAFNOSUPPORT without vsock) */
  listenVsock(port: number): void {
    const fd = listenVsock(port);
    this.#listeners.set(fd, { kind: 'vsock', path: '' });
    this.#poller.add(fd, POLL_IN);
  }

  close(): void {
    if (this.#closed) return;
    for (const connection of this.#connections.values()) connection.close();
    this.#closed = true;
    for (const [fd, listener] of this.#listeners) {
      closeFd(fd);
      if (listener.path === '') continue;
      try {
        unlinkSync(listener.path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#log(`cannot remove ${listener.path}: ${String(error)}`);
      }
    }
    this.#poller.close();
  }

  #turn(): void {
    this.#inTurn = true;
    const n = this.#poller.ready(this.#ready);
    for (let i = 0; i < n && !this.#closed; i++) {
      const fd = this.#ready[2 * i]!;
      const events = this.#ready[2 * i + 1]!;
      const listener = this.#listeners.get(fd);
      if (listener !== undefined) this.#accept(fd, listener.kind);
      else {
        const connection = this.#connections.get(fd);
        if (connection === undefined) continue;
        if ((events & POLL_OUT) !== 0) this.#flushOne(connection);
        if ((events & (POLL_IN | POLL_ERROR | POLL_HANGUP)) !== 0 && connection.fd === fd) this.#read(connection);
      }
    }
    this.#inTurn = false;
    this.#flush();
  }

  #accept(fd: number, kind: 'unix' | 'vsock'): void {
    for (let i = 0; i < ACCEPT_BATCH; i++) {
      let accepted;
      try {
        accepted = acceptSocket(fd);
      } catch (error) {
        // Out of descriptors: those who are connected go on; the listener is asked again next turn.
        this.#log(`cannot accept a driver: ${(error as Error).message}`);
        return;
      }
      if (accepted === null) return;
      const peer: PeerInfo = {
        kind, pid: accepted.pid, uid: accepted.uid, cid: accepted.cid,
        name: kind === 'unix' ? `unix pid ${accepted.pid} uid ${accepted.uid}` : `vsock cid ${accepted.cid}`,
      };
      const transport = new LocalTransport(accepted.fd, peer, this);
      const reader = this.#onConnect(transport);
      if (reader === null) {
        closeFd(accepted.fd);
        transport.fd = -1;
        continue;
      }
      transport.reader = reader;
      this.#connections.set(accepted.fd, transport);
      this.#poller.add(accepted.fd, POLL_IN);
      if (transport.unsent > 0) this.dirty(transport);
    }
  }

  #read(connection: LocalTransport): void {
    const n = receiveSocket(connection.fd, this.#buf, 0, READ_BYTES, this.#descriptors);
    const count = this.#descriptors[0]!;
    if (count > 0) connection.reader!.descriptors(Array.from(this.#descriptors.subarray(1, 1 + count)));
    if (n > 0) connection.reader!.bytes(this.#buf, n);
    else if (n !== EAGAIN && n !== EINTR) this.#lost(connection, n === 0 ? 'closed by the driver' : `receive failed (errno ${-n})`);
  }

  #lost(connection: LocalTransport, reason: string): void {
    const reader = connection.reader;
    if (connection.fd < 0 || reader === null) return;
    this.forget(connection);
    reader.closed(reason);
  }

  /** Close its descriptor. */
  forget(connection: LocalTransport): void {
    if (connection.fd < 0) return;
    this.#connections.delete(connection.fd);
    // A closed descriptor leaves the epoll set by itself.
    closeFd(connection.fd);
    connection.fd = -1;
  }

  /** It has something to send: at the end of this turn, together with what else comes. */
  dirty(connection: LocalTransport): void {
    if (!connection.queued) {
      connection.queued = true;
      this.#dirty.push(connection);
    }
    if (this.#inTurn || this.#flushAsked) return;
    this.#flushAsked = true;
    queueMicrotask(() => {
      this.#flushAsked = false;
      if (!this.#inTurn) this.#flush();
    });
  }

  #flush(): void {
    // A lost connection may make others dirty while this runs.
    for (let i = 0; i < this.#dirty.length; i++) {
      this.#dirty[i]!.queued = false;
      this.#flushOne(this.#dirty[i]!);
    }
    this.#dirty.length = 0;
  }

  #flushOne(connection: LocalTransport): void {
    if (connection.fd < 0) return;
    const answer = connection.drain();
    if (answer < 0 && answer !== EAGAIN && answer !== EINTR) {
      this.#lost(connection, `send failed (errno ${-answer})`);
      return;
    }
    const wanted = connection.unsent > 0;
    if (wanted !== connection.waitsForRoom && this.#connections.has(connection.fd)) {
      connection.waitsForRoom = wanted;
      this.#poller.modify(connection.fd, wanted ? POLL_IN | POLL_OUT : POLL_IN);
    }
  }
}

class LocalTransport implements Transport {
  readonly peer: PeerInfo;
  /** -1 once closed. */
  fd: number;
  reader: TransportReader | null = null;
  queued = false;
  waitsForRoom = false;
  readonly #hub: LocalHub;
  readonly #queue = new SendQueue();
  readonly #send = (buf: Buffer, off: number, len: number): number => sendSocket(this.fd, buf, off, len);

  constructor(fd: number, peer: PeerInfo, hub: LocalHub) {
    this.fd = fd;
    this.peer = peer;
    this.#hub = hub;
  }

  get unsent(): number {
    return this.#queue.length;
  }

  write(bytes: Buffer): void {
    if (this.fd < 0) return;
    this.#queue.push(bytes);
    this.#hub.dirty(this);
  }

  drain(): number {
    return this.#queue.drain(this.#send);
  }

  close(): void {
    if (this.fd < 0) return;
    this.drain();
    this.#hub.forget(this);
  }
}
