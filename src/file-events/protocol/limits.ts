/** The numbers of the driver protocol: version, message codes, limits. docs/file-protocol.md and guest/protocol.h say the same. */

/** First four bytes of CHALLENGE and HELLO: "DBFE". */
export const MAGIC = 0x4442_4645;
export const VERSION = 1;

/** length u32, type u8, flags u8, reserved u16 (zero), id u32 */
export const HEADER_BYTES = 12;
/** Longest frame, header included. A longer length field ends the connection before anything is read. */
export const MAX_FRAME = 65_536 + 256;
/** File bytes one DATA, LOG_DATA or WRITE frame may carry. */
export const MAX_CHUNK = 65_536;
export const MAX_PATH = 4095;
export const MAX_NAME = 255;
export const MAX_VM_NAME = 64;
export const MAX_TOKEN = 128;
export const MAX_MOUNTS = 32;
export const MAX_FILTERS = 256;
export const NONCE_BYTES = 32;
export const PROOF_BYTES = 32;
export const IDENTITY_BYTES = 48;
export const SHA256_BYTES = 32;
/** Events a driver may have unanswered; the appliance may set less. */
export const MAX_OUTSTANDING = 4096;
/** Log files followed, LIST jobs queued, files opened at a time by request of the appliance. */
export const MAX_FOLLOWS = 64;
export const MAX_LISTS = 64;
export const MAX_OPEN_FILES = 64;
/** Descriptors that may have arrived without the frame that announces them. */
export const MAX_PENDING_DESCRIPTORS = 16;
/** Frames of one LIST or FOLLOW on the wire that the appliance has not acknowledged by MORE. */
export const STREAM_WINDOW = 8;

/** Message codes. Below 0x40: sent by the driver; from 0x40: sent by the appliance. */
export const MessageType = {
  HELLO: 0x01,
  EVENT: 0x02,
  DATA: 0x03,
  DIGEST: 0x04,
  OPENED: 0x05,
  RESULT: 0x06,
  ENTRIES: 0x07,
  LOG_DATA: 0x08,
  CHANGE: 0x09,
  PING: 0x0a,
  CANCEL: 0x0b,
  CHALLENGE: 0x40,
  WELCOME: 0x41,
  CONFIG: 0x42,
  DISPOSITION: 0x43,
  READ: 0x44,
  HASH: 0x45,
  OPEN: 0x46,
  CLOSE: 0x47,
  LIST: 0x48,
  MORE: 0x49,
  FOLLOW: 0x4a,
  STOP: 0x4b,
  REMOVE: 0x4c,
  CREATE: 0x4d,
  WRITE: 0x4e,
  COMMIT: 0x4f,
  FORGET: 0x50,
  PONG: 0x51,
  REFUSED: 0x52,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/** Header flag: one descriptor came with this frame (SCM_RIGHTS). EVENT and OPENED only. */
export const FLAG_DESCRIPTOR = 1;
/** Header flag: last frame of an ENTRIES answer. */
export const FLAG_LAST = 2;

/** What the driver can do (HELLO). */
export const Capability = {
  OPEN_PERM: 1 << 0,
  EXEC_PERM: 1 << 1,
  ACCESS_PERM: 1 << 2,
  CLOSE_WRITE: 1 << 3,
  /** Creation, removal, renaming, attributes (CHANGE). */
  CHANGES: 1 << 4,
  /** Passes descriptors: the transport is a UNIX socket. */
  DESCRIPTORS: 1 << 5,
  /** Keeps verdicts in the kernel (ignore marks) until the file is modified. */
  KERNEL_CACHE: 1 << 6,
  /** No driver but a check of token and policy: it sends no events and takes nobody's place. */
  PROBE: 1 << 30,
} as const;

export const EventKind = { OPEN: 1, OPEN_EXEC: 2, ACCESS: 3, CLOSE_WRITE: 4 } as const;
export type EventKind = (typeof EventKind)[keyof typeof EventKind];
/** By event kind. */
export const EVENT_KIND_NAMES = ['', 'open', 'open-exec', 'access', 'close-write'] as const;

export const ChangeKind = { CREATED: 1, REMOVED: 2, MOVED_FROM: 3, MOVED_TO: 4, ATTRIBUTES: 5, LOST: 6 } as const;
export type ChangeKind = (typeof ChangeKind)[keyof typeof ChangeKind];
/** By change kind. */
export const CHANGE_KIND_NAMES = ['', 'created', 'removed', 'moved-from', 'moved-to', 'attributes', 'lost'] as const;

export const FileVerdict = { ALLOW: 1, DENY: 2 } as const;
export type FileVerdict = (typeof FileVerdict)[keyof typeof FileVerdict];

/** Disposition flag: the driver (and its kernel) may repeat this answer until the file changes or FORGET comes. */
export const REMEMBER = 1;

/** What a driver does with a permission event that nobody answers in time. */
export const FailurePolicy = { ALLOW: 1, DENY: 2, LAST_GOOD: 3 } as const;
export type FailurePolicy = (typeof FailurePolicy)[keyof typeof FailurePolicy];
export const FAILURE_POLICY_NAMES = ['', 'allow', 'deny', 'last-good'] as const;

/** What is marked: the mount point's mount, its whole filesystem (every mount of it, containers included). */
export const MarkScope = { MOUNT: 1, FILESYSTEM: 2 } as const;
export type MarkScope = (typeof MarkScope)[keyof typeof MarkScope];

/** Event mask of a mount in CONFIG. */
export const EventMask = { OPEN: 1, OPEN_EXEC: 2, ACCESS: 4, CLOSE_WRITE: 8, CHANGES: 16 } as const;

/** Kinds of filter in CONFIG. A file that a filter takes out is allowed without asking, and counted. */
export const FilterKind = {
  /** Path, or everything below it. */
  EXCLUDE_PATH: 1,
  /** Pattern over the whole path: `*` and `?` within a level, `**` across levels. */
  EXCLUDE_PATTERN: 2,
  /** Executable that accesses (its path). */
  EXCLUDE_PROCESS: 3,
  /** Numeric user id of the accessing process. */
  EXCLUDE_USER: 4,
  /** If any is given only files of these types are asked about (names in docs/file-protocol.md). */
  ONLY_TYPE: 5,
} as const;
export type FilterKind = (typeof FilterKind)[keyof typeof FilterKind];

/** Types the driver tells by the first bytes of a file (ONLY_TYPE). */
export const FILE_TYPES = ['elf', 'script', 'pe', 'zip', 'pdf', 'ole', 'gzip', 'other'] as const;

/** Reasons of REFUSED. */
export const REFUSAL_NAMES = ['', 'version', 'unknown-vm', 'proof', 'credentials', 'already-connected', 'protocol', 'too-slow', 'shutdown', 'full'] as const;
export const Refusal = {
  VERSION: 1,
  UNKNOWN_VM: 2,
  PROOF: 3,
  CREDENTIALS: 4,
  ALREADY_CONNECTED: 5,
  PROTOCOL: 6,
  TOO_SLOW: 7,
  SHUTDOWN: 8,
  FULL: 9,
} as const;
export type Refusal = (typeof Refusal)[keyof typeof Refusal];
