/** What the driver server asks of whoever judges files, and what it offers to it. */
import type { ChangeKind, EventKind, FileVerdict } from './protocol/limits.js';
import type { DriverStats, Entry, FileMeta, IdentityKey, ProcessInfo } from './protocol/messages.js';

/** A file as it can be read while somebody holds it open: the event's file until its disposition, or one of `open`. */
export interface ContentReader {
  /** Bytes when the event was raised; reading may find more or less. */
  readonly size: number;
  /** A descriptor of this process that is open for reading the file (same host), else -1. Owned by the server: do not close it, and do not keep it after the disposition. */
  readonly fd: number;
  /**
   * @param offset from 0
   * @param length 1 to MAX_CHUNK
   * @returns fewer bytes than asked for only at the end of the file; valid until the next turn of the event loop
   * @throws DriverError EIO and the like, ECANCELED when the driver gave up or the connection ended
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /**
   * SHA-256 of the content. With a descriptor the appliance computes it; otherwise the driver does, which is a claim of the
   * guest: good enough to look a verdict up for the same guest, never to store one (hash what was read for that).
   * @throws DriverError as read
   */
  sha256(): Promise<Digested>;
}

export interface Digested {
  readonly sha256: Uint8Array;
  /** Identity after the file was read: differs from the event's when it changed meanwhile. '' when not known. */
  readonly identity: IdentityKey;
  /** The appliance computed it from the bytes. */
  readonly trusted: boolean;
}

export interface FileEvent {
  readonly kind: EventKind;
  /** The process waits; otherwise the event only tells (close-write) and the disposition releases the file. */
  readonly permission: boolean;
  readonly session: DriverSession;
  readonly path: string;
  readonly meta: FileMeta;
  readonly size: number;
  readonly process: ProcessInfo;
  /** Path of the mount policy it belongs to. */
  readonly mount: string;
  /** When the driver saw it (server clock, ms). */
  readonly raisedMs: number;
  /** The driver answers by its failure policy at this time (server clock, ms); Infinity when nobody waits. */
  readonly deadlineMs: number;
  readonly content: ContentReader;
  /** Set once nobody waits any more (time limit, connection lost): stop working on it. */
  readonly cancelled: boolean;
  /** Called once when `cancelled` becomes true. */
  onCancel: (() => void) | null;
}

export interface Disposition {
  readonly verdict: FileVerdict;
  /** The driver may repeat this answer until the file changes or the epoch does. */
  readonly remember: boolean;
  /** Why, in a word or two; for logs and counters. */
  readonly reason: string;
}

export interface FileChange {
  readonly kind: ChangeKind;
  readonly path: string;
  readonly mount: string;
  readonly process: ProcessInfo;
  readonly session: DriverSession;
}

export interface OpenedFile extends ContentReader {
  readonly meta: FileMeta;
  close(): Promise<void>;
}

export interface LogChunk {
  readonly offset: number;
  readonly rotated: boolean;
  readonly identity: IdentityKey;
  readonly bytes: Uint8Array;
}

export interface RestoredMeta {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
}

/** One authenticated driver. Methods reject with DriverError (`code` is a Linux errno name: ENOENT, EACCES, ...). */
export interface DriverSession {
  readonly vm: string;
  /** 32 hex digits, new on each boot of the guest. */
  readonly bootId: string;
  readonly hostName: string;
  readonly kernel: string;
  readonly driver: string;
  readonly capabilities: number;
  /** "unix pid 123 uid 0", "vsock cid 5", "tls 192.0.2.7:4711". */
  readonly peer: string;
  /** Last counters the driver sent. */
  readonly stats: DriverStats | null;
  readonly open: boolean;
  /** Events waiting for a disposition. */
  readonly outstanding: number;
  openFile(path: string): Promise<OpenedFile>;
  /** One directory, in the order the filesystem gives, in batches as they arrive. @param hashUpTo see List */
  list(path: string, hashUpTo: number): AsyncIterable<readonly Entry[]>;
  /** Remove the file if it is still that one. */
  remove(path: string, identity: IdentityKey): Promise<void>;
  /** Put a file back. @throws DriverError EEXIST when something is there */
  restore(path: string, meta: RestoredMeta, content: AsyncIterable<Uint8Array>): Promise<void>;
  /** @param offset -1 = from the end. The iteration ends with the connection, or by return(). */
  follow(path: string, offset: number): AsyncIterable<LogChunk>;
  /** Forget remembered dispositions (new signatures). */
  forget(epoch: number): void;
}

/** The verdict path, as the server calls it. */
export interface FileEventHandler {
  /** A driver has authenticated; events follow. */
  connected(session: DriverSession): void;
  disconnected(session: DriverSession, reason: string): void;
  /**
   * Judge one event. Answer at once where possible (cached verdict): a promise costs more. A rejection is counted and
   * answered by nothing, so that the driver's failure policy decides.
   */
  judge(event: FileEvent): Disposition | Promise<Disposition>;
  changed(change: FileChange): void;
}
