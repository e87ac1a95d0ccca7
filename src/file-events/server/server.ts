/**
 * The driver server: listeners (UNIX socket, vsock, TLS), who may connect, one connection per VM, policies, heartbeat.
 * Time, randomness and the log are given to it; it owns sockets and one timer.
 */
import { randomBytes } from 'node:crypto';
import type { DriverSession, FileEventHandler } from '../handler.js';
import { Capability, MessageType, Refusal, VERSION } from '../protocol/limits.js';
import type { DriverConfig, Hello } from '../protocol/messages.js';
import { applianceProof, driverProof, sameProof } from '../protocol/proof.js';
import { DriverConnection } from './connection.js';
import { ServerCounters } from './counters.js';
import type { ConnectionHost } from './host.js';
import { LocalHub } from './local-hub.js';
import { TlsListener, type TlsOptions } from './tls-listener.js';
import type { PeerInfo, Transport } from './transport.js';

/** What a VM's driver is told to do: CONFIG without the epoch. */
export type DriverPolicy = Omit<DriverConfig, 'type' | 'epoch'>;

export interface VmAccess {
  readonly token: string;
  /** User ids that may connect for it through the UNIX socket. */
  readonly uids: readonly number[];
  /** Context id it must come from through vsock; absent = any. */
  readonly cid?: number;
  readonly policy: DriverPolicy;
}

export interface ServerOptions {
  readonly vms: ReadonlyMap<string, VmAccess>;
  /** Connections at a time, those that have not said who they are included. */
  readonly maxConnections: number;
  readonly nowMs: () => number;
  readonly log: (text: string) => void;
  readonly randomBytes?: (n: number) => Uint8Array;
}

const TICK_MS = 1000;
/** Of the places, for connections that have not authenticated: others keep room. */
const STRANGERS_SHARE = 4;
const STRANGER_LINES = 5;

export class DriverServer implements ConnectionHost {
  readonly handler: FileEventHandler;
  readonly counters = new ServerCounters();
  readonly #options: ServerOptions;
  readonly #hub: LocalHub;
  readonly #tls: TlsListener[] = [];
  readonly #connections = new Set<DriverConnection>();
  readonly #sessions = new Map<string, DriverConnection>();
  readonly #vms: Map<string, VmAccess>;
  readonly #timer: NodeJS.Timeout;
  #epoch = 0;
  #strangerLines = 0;

  constructor(options: ServerOptions, handler: FileEventHandler) {
    this.#options = options;
    this.handler = handler;
    this.#vms = new Map(options.vms);
    this.#hub = new LocalHub((transport) => this.#connect(transport), options.log);
    this.#timer = setInterval(() => this.tick(), TICK_MS);
    this.#timer.unref();
  }

  /** Drivers that have authenticated, by VM. */
  get sessions(): ReadonlyMap<string, DriverSession> {
    return this.#sessions;
  }

  /** Events waiting for a disposition, over all drivers. */
  get outstanding(): number {
    let n = 0;
    for (const session of this.#sessions.values()) n += session.outstanding;
    return n;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** @param mode of the socket file. @throws the system error */
  listenUnix(path: string, mode = 0o600): void {
    this.#hub.listenUnix(path, mode);
  }

  /** @throws the system error */
  listenVsock(port: number): void {
    this.#hub.listenVsock(port);
  }

  /** @returns the port. @throws the system error */
  async listenTls(host: string, port: number, options: TlsOptions): Promise<number> {
    const listener = new TlsListener(options, (transport) => this.#connect(transport), this.#options.maxConnections, (text) => this.#logStranger(text));
    this.#tls.push(listener);
    return listener.listen(host, port);
  }

  /** A new signature epoch: every driver forgets what it may repeat. */
  setEpoch(epoch: number): void {
    this.#epoch = epoch;
    for (const session of this.#sessions.values()) session.forget(epoch);
  }

  /** The policy of a VM, or a new one that its driver hears of at once. @throws RangeError for a VM that the server does not know */
  setPolicy(vm: string, policy: DriverPolicy): void {
    const access = this.#vms.get(vm);
    if (access === undefined) throw new RangeError(`there is no VM "${vm}"`);
    this.#vms.set(vm, { ...access, policy });
    this.#sessions.get(vm)?.configure(this.#configOf(vm));
  }

  /** Who may connect from now on, and their policies. A driver whose VM, token or origin is not in force any more is sent away. */
  setVms(vms: ReadonlyMap<string, VmAccess>): void {
    for (const [vm, before] of this.#vms) {
      const after = vms.get(vm);
      if (after === undefined) this.#vms.delete(vm);
      const session = this.#sessions.get(vm);
      if (session === undefined) continue;
      if (after === undefined || after.token !== before.token || wrongOrigin(after, session.peerInfo) !== null) session.refuse(Refusal.CREDENTIALS, 'the settings of this VM have changed');
    }
    for (const [vm, access] of vms) {
      const before = this.#vms.get(vm);
      this.#vms.set(vm, access);
      if (JSON.stringify(before?.policy) !== JSON.stringify(access.policy)) this.#sessions.get(vm)?.configure(this.#configOf(vm));
    }
  }

  /** Look at the clock; called every second by the server itself. */
  tick(): void {
    const now = this.#options.nowMs();
    if (this.#strangerLines > STRANGER_LINES) this.log(`${this.#strangerLines - STRANGER_LINES} more connections of strangers ended`);
    this.#strangerLines = 0;
    for (const connection of this.#connections) connection.tick(now);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const connection of this.#connections) connection.refuse(Refusal.SHUTDOWN, 'the appliance stops');
    this.#hub.close();
    await Promise.all(this.#tls.map((listener) => listener.close()));
  }

  // ---- ConnectionHost

  nowMs(): number {
    return this.#options.nowMs();
  }

  randomBytes(n: number): Uint8Array {
    return (this.#options.randomBytes ?? randomBytes)(n);
  }

  log(text: string): void {
    this.#options.log(text);
  }

  admit(hello: Hello, nonce: Uint8Array, peer: PeerInfo): { readonly reason: Refusal; readonly text: string } | null {
    if (hello.version !== VERSION) return { reason: Refusal.VERSION, text: `version ${hello.version}; this appliance speaks ${VERSION}` };
    const access = this.#vms.get(hello.vm);
    // The same work and the same answer whether the name or the token is wrong.
    const proof = driverProof(access?.token ?? '', nonce, hello.nonce, hello.vm);
    if (!sameProof(proof, hello.proof) || access === undefined) return { reason: Refusal.PROOF, text: 'unknown VM or wrong token' };
    const wrong = wrongOrigin(access, peer);
    return wrong === null ? null : { reason: Refusal.CREDENTIALS, text: wrong };
  }

  prove(hello: Hello, nonce: Uint8Array): Uint8Array {
    return applianceProof(this.#vms.get(hello.vm)!.token, nonce, hello.nonce, hello.vm);
  }

  authenticated(connection: DriverConnection): void {
    if ((connection.capabilities & Capability.PROBE) !== 0) {
      // Somebody checks token and policy (`drawbridge driver test`): the VM's driver stays who it is.
      connection.configure(this.#configOf(connection.vm));
      return;
    }
    const before = this.#sessions.get(connection.vm);
    this.#sessions.set(connection.vm, connection);
    if (before !== undefined) {
      // A guest that was reset left its old connection behind.
      this.counters.replaced++;
      before.end('replaced by a newer connection');
    }
    this.log(`driver of ${connection.vm} connected (${connection.peer}, ${connection.hostName}, driver ${connection.driver})`);
    connection.configure(this.#configOf(connection.vm));
    this.handler.connected(connection);
  }

  ended(connection: DriverConnection, reason: string): void {
    this.#connections.delete(connection);
    if (connection.vm === '') {
      this.#logStranger(`driver connection ended (${connection.peer}): ${reason}`);
      return;
    }
    if ((connection.capabilities & Capability.PROBE) !== 0) return;
    if (this.#sessions.get(connection.vm) === connection) this.#sessions.delete(connection.vm);
    this.log(`driver of ${connection.vm} disconnected: ${reason}`);
    this.handler.disconnected(connection, reason);
  }

  /** Those who are nobody may not fill the log: a few lines a second, the rest counted. */
  #logStranger(text: string): void {
    if (this.#strangerLines++ < STRANGER_LINES) this.log(text);
  }

  #configOf(vm: string): DriverConfig {
    return { type: MessageType.CONFIG, epoch: this.#epoch, ...this.#vms.get(vm)!.policy };
  }

  #connect(transport: Transport): DriverConnection | null {
    this.counters.connections++;
    const strangers = this.#connections.size - this.#sessions.size;
    if (this.#connections.size >= this.#options.maxConnections || strangers * STRANGERS_SHARE >= this.#options.maxConnections) {
      this.counters.refused++;
      return null;
    }
    const connection = new DriverConnection(transport, this);
    this.#connections.add(connection);
    return connection;
  }
}

function wrongOrigin(access: VmAccess, peer: PeerInfo): string | null {
  if (peer.kind === 'unix' && !access.uids.includes(peer.uid)) return `user id ${peer.uid} may not speak for this VM`;
  if (peer.kind === 'vsock' && access.cid !== undefined && access.cid !== peer.cid) return `context id ${peer.cid} is not that of this VM`;
  return null;
}
