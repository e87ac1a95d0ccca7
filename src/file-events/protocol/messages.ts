/** The messages of the driver protocol as values. Field by field reference: docs/file-protocol.md. */
import type { ChangeKind, EventKind, FailurePolicy, FileVerdict, FilterKind, MarkScope, MessageType, Refusal } from './limits.js';

type M<T extends keyof typeof MessageType> = (typeof MessageType)[T];

/**
 * What tells one state of a file from another within one VM: device, inode, size, mtime, ctime, change counter. A string of
 * 48 latin1 characters, the bytes as they came: made to be a Map key. `describeIdentity` takes it apart.
 */
export type IdentityKey = string;

/** lstat of a file, as LIST and OPENED carry it. */
export interface FileMeta {
  readonly identity: IdentityKey;
  /** Type and permission bits (st_mode). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
}

/** The process that a file event belongs to; empty or 0 where the driver could not tell. */
export interface ProcessInfo {
  readonly pid: number;
  /** Effective user id. */
  readonly uid: number;
  /** Path of its executable. */
  readonly image: string;
}

export interface Challenge {
  readonly type: M<'CHALLENGE'>;
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly nonce: Uint8Array;
}

export interface Hello {
  readonly type: M<'HELLO'>;
  readonly version: number;
  readonly capabilities: number;
  readonly nonce: Uint8Array;
  readonly proof: Uint8Array;
  /** 16 bytes, new on each boot of the guest. */
  readonly bootId: Uint8Array;
  readonly vm: string;
  readonly hostName: string;
  readonly kernel: string;
  readonly driver: string;
}

export interface Welcome {
  readonly type: M<'WELCOME'>;
  readonly version: number;
  readonly proof: Uint8Array;
}

export interface Refused {
  readonly type: M<'REFUSED'>;
  readonly reason: Refusal;
  readonly text: string;
}

export interface MountPolicy {
  readonly path: string;
  readonly scope: MarkScope;
  /** EventMask bits. */
  readonly events: number;
  readonly failure: FailurePolicy;
  /** A permission event is answered by `failure` after this. */
  readonly timeoutMs: number;
  /** Larger files are not asked about but allowed and counted; 0 = ask about all. */
  readonly maxSize: number;
}

export interface Filter {
  readonly kind: FilterKind;
  readonly value: string;
}

export interface DriverConfig {
  readonly type: M<'CONFIG'>;
  /** Signature epoch: dispositions remembered under another one are forgotten. */
  readonly epoch: number;
  readonly heartbeatMs: number;
  readonly maxOutstanding: number;
  readonly passDescriptors: boolean;
  /** Remember dispositions in the guest's kernel. */
  readonly kernelCache: boolean;
  readonly mounts: readonly MountPolicy[];
  readonly filters: readonly Filter[];
}

/** A process opens, executes or reads a file (waits for the answer), or closed one it had open for writing. */
export interface EventMessage {
  readonly type: M<'EVENT'>;
  readonly id: number;
  readonly kind: EventKind;
  /** The process waits. */
  readonly permission: boolean;
  /** Index of the mount in CONFIG. */
  readonly mount: number;
  readonly meta: FileMeta;
  readonly size: number;
  readonly process: ProcessInfo;
  /** Microseconds the event had waited in the driver before it was sent. */
  readonly waitedUs: number;
  readonly path: string;
  /** A descriptor came along. */
  readonly descriptor: boolean;
}

export interface DispositionMessage {
  readonly type: M<'DISPOSITION'>;
  readonly id: number;
  readonly verdict: FileVerdict;
  readonly remember: boolean;
}

/** The driver answered event `id` itself (time limit, connection lost): nobody waits for the disposition any more. */
export interface Cancel {
  readonly type: M<'CANCEL'>;
  readonly id: number;
}

/** Bytes of file `file`: an event id, or a handle of OPENED. */
export interface Read {
  readonly type: M<'READ'>;
  readonly id: number;
  readonly file: number;
  readonly offset: number;
  readonly length: number;
}

/** Answer to READ. Fewer bytes than asked for = end of file. `status` is a Linux errno, 0 = fine. */
export interface Data {
  readonly type: M<'DATA'>;
  readonly id: number;
  readonly status: number;
  readonly bytes: Uint8Array;
}

/** Ask the driver to compute the SHA-256 of a file. */
export interface Hash {
  readonly type: M<'HASH'>;
  readonly id: number;
  readonly file: number;
}

/** Answer to HASH, with the identity the file had after it was read. */
export interface Digest {
  readonly type: M<'DIGEST'>;
  readonly id: number;
  readonly status: number;
  readonly identity: IdentityKey;
  readonly sha256: Uint8Array;
}

/** Open a regular file by path; symbolic links are not followed in the last step. */
export interface Open {
  readonly type: M<'OPEN'>;
  readonly id: number;
  readonly path: string;
}

export interface Opened {
  readonly type: M<'OPENED'>;
  readonly id: number;
  readonly status: number;
  readonly file: number;
  readonly meta: FileMeta;
  readonly descriptor: boolean;
}

export interface Close {
  readonly type: M<'CLOSE'>;
  readonly id: number;
  readonly file: number;
}

/** Entries of one directory, not of those below it. */
export interface List {
  readonly type: M<'LIST'>;
  readonly id: number;
  readonly path: string;
  /** Compute the SHA-256 of regular files up to this size; 0 = of none. */
  readonly hashUpTo: number;
}

export interface Entry {
  readonly name: string;
  readonly meta: FileMeta;
  /** Of regular files, when asked for and within the limit; otherwise empty. */
  readonly sha256: Uint8Array;
  /** Of symbolic links, otherwise ''. */
  readonly target: string;
}

export interface Entries {
  readonly type: M<'ENTRIES'>;
  readonly id: number;
  readonly status: number;
  /** No more frames follow. */
  readonly last: boolean;
  readonly entries: readonly Entry[];
}

/** `count` more frames of stream `id` (LIST or FOLLOW) may be sent. */
export interface More {
  readonly type: M<'MORE'>;
  readonly id: number;
  readonly count: number;
}

/** Send what is appended to a log file, from `offset` on (-1: from its end). */
export interface Follow {
  readonly type: M<'FOLLOW'>;
  readonly id: number;
  readonly path: string;
  readonly offset: number;
}

export interface LogData {
  readonly type: M<'LOG_DATA'>;
  readonly id: number;
  readonly status: number;
  /** Position of the first byte in the file. */
  readonly offset: number;
  /** Another file has this path now, or it was cut: `offset` starts again at 0. */
  readonly rotated: boolean;
  /** Device and inode of the file the bytes are from (the rest of the identity is as it was then). */
  readonly identity: IdentityKey;
  readonly bytes: Uint8Array;
}

/** End stream `id`. */
export interface Stop {
  readonly type: M<'STOP'>;
  readonly id: number;
}

/** Remove the file at `path` if device and inode are those of `identity`. */
export interface Remove {
  readonly type: M<'REMOVE'>;
  readonly id: number;
  readonly path: string;
  readonly identity: IdentityKey;
}

/** Begin to restore a file: nothing is visible at `path` before COMMIT, and nothing there is overwritten. */
export interface Create {
  readonly type: M<'CREATE'>;
  readonly id: number;
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
}

export interface Write {
  readonly type: M<'WRITE'>;
  readonly id: number;
  readonly file: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface Commit {
  readonly type: M<'COMMIT'>;
  readonly id: number;
  readonly file: number;
}

/** Answer to CLOSE, FOLLOW, REMOVE, CREATE (`file` is the handle), WRITE, COMMIT. */
export interface Result {
  readonly type: M<'RESULT'>;
  readonly id: number;
  readonly status: number;
  readonly file: number;
}

/** A directory entry changed (integrity monitoring). LOST: the guest's kernel had to drop events; look again. */
export interface Change {
  readonly type: M<'CHANGE'>;
  readonly id: number;
  readonly kind: ChangeKind;
  readonly mount: number;
  readonly process: ProcessInfo;
  readonly path: string;
}

/** Forget every remembered disposition: the epoch is this one now. */
export interface Forget {
  readonly type: M<'FORGET'>;
  readonly id: number;
  readonly epoch: number;
}

/** Counters of the driver since it started, and its state now. */
export interface DriverStats {
  /** Permission events seen; each ends in exactly one of the next five. */
  readonly events: number;
  readonly allowed: number;
  readonly denied: number;
  /** Answered from what the driver remembers. */
  readonly remembered: number;
  /** Taken out by a filter, or caused by the driver or the appliance itself. */
  readonly filtered: number;
  /** Answered by the failure policy. */
  readonly failed: number;
  /** Of those: time limit reached; not connected; more outstanding than configured. */
  readonly timeouts: number;
  readonly disconnected: number;
  readonly overflows: number;
  readonly notifications: number;
  /** Notifications that were not sent (no connection, table full) or that the kernel dropped. */
  readonly notificationsLost: number;
  readonly bytesRead: number;
  readonly outstanding: number;
  readonly residentKiB: number;
  readonly reconnects: number;
}

export interface Ping extends DriverStats {
  readonly type: M<'PING'>;
  readonly id: number;
}

export interface Pong {
  readonly type: M<'PONG'>;
  readonly id: number;
}

export type DriverMessage = Hello | EventMessage | Data | Digest | Opened | Result | Entries | LogData | Change | Ping | Cancel;
export type ApplianceMessage =
  | Challenge | Welcome | Refused | DriverConfig | DispositionMessage | Read | Hash | Open | Close | List | More | Follow | Stop
  | Remove | Create | Write | Commit | Forget | Pong;
export type Message = DriverMessage | ApplianceMessage;
