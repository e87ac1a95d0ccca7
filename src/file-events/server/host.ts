/** What a connection needs of the server. */
import type { FileEventHandler } from '../handler.js';
import type { Refusal } from '../protocol/limits.js';
import type { Hello } from '../protocol/messages.js';
import type { DriverConnection } from './connection.js';
import type { ServerCounters } from './counters.js';
import type { PeerInfo } from './transport.js';

export interface ConnectionHost {
  readonly handler: FileEventHandler;
  readonly counters: ServerCounters;
  nowMs(): number;
  randomBytes(n: number): Uint8Array;
  log(text: string): void;
  /** @returns null when the driver may come in, else why not */
  admit(hello: Hello, nonce: Uint8Array, peer: PeerInfo): { readonly reason: Refusal; readonly text: string } | null;
  /** Proof for WELCOME; the VM is known. */
  prove(hello: Hello, nonce: Uint8Array): Uint8Array;
  authenticated(connection: DriverConnection): void;
  ended(connection: DriverConnection, reason: string): void;
}
