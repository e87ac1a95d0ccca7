/**
 * Mechanism only: sockets, batches, pattern matching. No policy. Every function bounds-checks what crosses from
 * JavaScript and throws TypeError/RangeError on misuse; errors of the kernel carry `.code` (EPERM, ...) and `.errno`.
 * Loaded by the rooms that own the meaning: vswitch/ports (I/O), ips (matching), packet (checksum), flow (huge pages).
 */

// ---- ports ---------------------------------------------------------------------------------------------------

export interface TapOptions {
  /** IFF_VNET_HDR with checksum, TSO4, TSO6 (and TSO-ECN) offloads. Default true. */
  offloads?: boolean;
  /** Also USO (UDP segmentation offload, Linux >= 6.2). Default false: it joins datagrams. */
  uso?: boolean;
}
export interface OpenedPort {
  fd: number;
  /** Interface name as the kernel knows it (a `%d` in the request is filled in). */
  name: string;
  /** Bytes of virtio_net_hdr in front of every frame, 0 when offloads are off. */
  vnetHdrLen: number;
  /** Interface index, MTU and MAC at opening time. */
  ifindex: number;
  mtu: number;
  mac: string;
}
/** Open or create a TAP device. Non-blocking. @throws EPERM, EBUSY, ENOENT (no /dev/net/tun) */
export function openTap(name: string, options?: TapOptions): OpenedPort;
/** Open an AF_PACKET raw socket bound to an interface: PACKET_VNET_HDR when `offloads`, IGNORE_OUTGOING, promiscuous. */
export function openPacket(name: string, options?: { offloads?: boolean; promiscuous?: boolean }): OpenedPort;
/** Bring an interface up or down, set its MTU or MAC (each only when given). */
export function configureInterface(name: string, options: { up?: boolean; mtu?: number; mac?: string }): void;
export function closeFd(fd: number): void;
/**
 * Bind a UNIX socket at `path`: a listening stream socket (`datagram` 0) or a datagram one (1). A stale socket of a process
 * that is gone is replaced. Non-blocking. The caller removes the file.
 * @param mode permission bits of the file
 * @returns the descriptor
 * @throws EADDRINUSE (in use, or the path is no socket), ENAMETOOLONG (107 bytes at most), EACCES
 */
export function openUnix(datagram: 0 | 1, path: string, mode: number): number;

// ---- the batch loop --------------------------------------------------------------------------------------------

export const PORT_TAP: 0;
export const PORT_PACKET: 1;
export const PORT_STREAM: 2;
export const PORT_DATAGRAM: 3;

/**
 * Blocking poll over many ports into one pinned FrameBatch (see src/packet/frame-batch.ts for the tables).
 * Used by one thread; only `wake` may be called from another thread, through the descriptor `wakeFd`.
 */
export class IoLoop {
  /** Pins the three buffers for the life of the object. `batchSize` frames at most are received per `rx`. */
  constructor(arena: Uint8Array, desc: Int32Array, tx: Int32Array, batchSize: number);
  /** eventfd: any thread may `wakeFd(fd)` to make `rx` return early with what it has. */
  readonly wakeFd: number;
  /**
   * Register an open descriptor (the caller still owns and closes it, after `removePort`).
   * `vnetHdrLen` 10 or 12: the far side takes GSO super-frames and partial checksums; 0: output is segmented and
   * completed. `mtu` bounds what is sent (bytes after the link header), per segment for GSO frames.
   * @throws EEXIST (index taken), EPERM (descriptor cannot be polled), EBADF
   */
  addPort(index: number, fd: number, kind: 0 | 1, vnetHdrLen: number, mtu: number): void;
  /**
   * Register a UNIX socket that carries whole frames without offloads, as QEMU's `-netdev stream` and `dgram` do.
   * Stream (2): frames behind a four-byte length. `fd` is a listening socket, or -1 to connect to `path` (once a second until
   * it works); one peer at a time, which may come and go: portError is 107 ENOTCONN meanwhile, and what is sent fails with it.
   * Datagram (3): one frame each; `fd` is bound, `path` is where frames are sent.
   * @throws as addPort; ENAMETOOLONG
   */
  addUnixPort(index: number, fd: number, kind: 2 | 3, path: string, mtu: number): void;
  removePort(index: number): void;
  /** errno of the port's last failed receive (5 EIO, 100 ENETDOWN, 77 EBADFD: the device is gone), 0 if none. */
  portError(index: number): number;
  /**
   * Receive up to batchSize frames, fairly over the ready ports (while several are active in one short round over them), packed from the start of the arena in ascending
   * order (64-byte aligned, with 64 bytes in front; a frame whose VLAN tag the kernel had removed starts 4 bytes
   * earlier). Fills descriptor rows 0..n-1 including the capture time (one clock read per batch).
   * @param timeoutMs 0 = poll, -1 = block until a frame or a wake
   * @returns frames received (0 on timeout, wake or signal; a wait may end early)
   */
  rx(timeoutMs: number): number;
  /** Arena bytes used by the last rx (next free offset, 64-byte aligned). */
  readonly arenaUsed: number;
  /**
   * Send `count` transmit rows: applies the tag action, writes the vnet header for ports that have one, otherwise
   * segments GSO frames (TCPv4/v6, UDP) and completes partial checksums in software. Writes T_STATUS of each row:
   * 0, or a positive errno: EINVAL 22 (row, frame or offload fields make no sense), ENODEV 19 (no such port),
   * EMSGSIZE 90 (over the MTU and not segmentable), EAGAIN 11 / ENOBUFS 105 (queue full after bounded retries), EIO 5
   * (TAP is down). Never throws for a row.
   * @returns rows that failed
   */
  flush(count: number): number;
  close(): void;
}
/**
 * Wake an IoLoop blocked in `rx` from any thread. Also what a worker needs before `terminate()`, which cannot
 * interrupt a blocking native call.
 * @returns false when `fd` is not the wake descriptor of an open loop (it closed meanwhile): nothing was written
 */
export function wakeFd(fd: number): boolean;

// ---- bytes -----------------------------------------------------------------------------------------------------

/** RFC 1071 ones-complement sum of buf[off, off+len) added to `initial`, folded to 16 bits, not inverted. */
export function checksum(buf: Uint8Array, off: number, len: number, initial: number): number;
/**
 * The wire form of the frame in descriptor `row`, as a port without offloads sends it: tag action applied, segmented,
 * checksums complete. For capture files and tests.
 * @param tag a T_VLAN value
 * @param out receives the frames one after another, `lengths` their sizes
 * @returns number of frames, or a negative errno (-EINVAL, -EMSGSIZE, -ENOSPC: `out` or `lengths` too small)
 */
export function segment(
  arena: Uint8Array,
  desc: Int32Array,
  row: number,
  tag: number,
  mtu: number,
  out: Uint8Array,
  lengths: Int32Array,
): number;
/** madvise(MADV_HUGEPAGE) on the whole pages inside the buffer; returns false when the kernel refuses. */
export function adviseHugePages(buf: ArrayBufferView): boolean;
/**
 * Drop all capabilities except the named ones (cap_net_admin, cap_net_raw, cap_dac_read_search), optionally change uid/gid, set
 * no_new_privs, empty the bounding set. Acts on the whole process; with a `uid` only the calling thread (and workers
 * it starts later) keeps anything, so call it before starting workers.
 * @returns threads that still hold more than `keep`: those that block all signals. Without a `uid` change that is 1
 * in a normal Node (its SIGUSR1 debugger thread; none with --disable-sigusr1); with one it is 0.
 * @throws EPERM
 */
export function dropPrivileges(options: { uid?: number; gid?: number; keep?: readonly string[] }): number;

// ---- multi-pattern matching (Vectorscan, block mode) --------------------------------------------------------------

export interface HsPattern {
  /** Returned on a match. Several patterns may share an id. */
  id: number;
  /** A regular expression in PCRE syntax as latin-1 text; literals are escaped by the caller (\xNN). */
  expression: string;
  /** OR of HS_FLAG_*. */
  flags: number;
}
export const HS_FLAG_CASELESS: number;
export const HS_FLAG_DOTALL: number;
export const HS_FLAG_MULTILINE: number;
export const HS_FLAG_SINGLEMATCH: number;
export const HS_FLAG_ALLOWEMPTY: number;
export const HS_FLAG_PREFILTER: number;

export class HsDatabase {
  /** @throws Error with `.pattern` (index into the array) and the compiler's message */
  static compile(patterns: readonly HsPattern[]): HsDatabase;
  /** @throws when the bytes are not a database of this library version and CPU */
  static deserialize(bytes: Uint8Array): HsDatabase;
  serialize(): Uint8Array;
  /** Bytes in memory. */
  readonly size: number;
  /**
   * Scan buf[off, off+len). Distinct pattern ids that matched are written to `out` (each once, ascending order not
   * promised); at most out.length.
   * @returns how many ids were written, or -1 when `out` was too small (it is then full of valid ids)
   */
  scan(buf: Uint8Array, off: number, len: number, out: Uint32Array): number;
}
/** Version of the library and the CPU features used: part of the key of a serialised database. */
export function hsVersion(): string;

// ---- regular expressions (PCRE2, JIT) ---------------------------------------------------------------------------

export const PCRE_CASELESS: number;
export const PCRE_DOTALL: number;
export const PCRE_MULTILINE: number;
export const PCRE_EXTENDED: number;
export const PCRE_ANCHORED: number;
export const PCRE_DOLLAR_ENDONLY: number;
export const PCRE_UNGREEDY: number;

export const PCRE_NOMATCH: -1;
/** The match limit or depth limit was reached: attacker-controlled bytes cost no more than this. */
export const PCRE_LIMIT: -47;

export class Pcre {
  /**
   * @param expression latin-1 text; bytes only: (*UTF) is refused
   * @param matchLimit default 3500, `depthLimit` default 1500 (Suricata's)
   * @throws Error with `.offset` and the compiler's message
   */
  constructor(expression: string, options: number, matchLimit?: number, depthLimit?: number);
  /** Capture groups in the pattern. */
  readonly groups: number;
  /**
   * Match in buf[off, off+len), starting at off+start (look-behind sees the bytes before).
   * @param ovector filled with start/end pairs relative to `off` (as many as fit), -1 for unset groups
   * @returns highest group that matched + 1 (>= 1, whether or not all fit), PCRE_NOMATCH, PCRE_LIMIT or another negative error
   */
  exec(buf: Uint8Array, off: number, len: number, start: number, ovector: Int32Array): number;
  /** Name -> group number. */
  readonly names: Readonly<Record<string, number>>;
}

/**
 * Bound the time that `exec` may use from now on in this thread, all calls together; one that uses it up answers PCRE_LIMIT.
 * Match limits count steps, and a step may look at the whole subject.
 * @param ms milliseconds, Infinity = no bound (the default)
 * @returns what was left of the bound before
 */
export function pcreTime(ms: number): number;

// ---- searching ----------------------------------------------------------------------------------------------------

/** One literal, searched with the processor's vectors: for ranges of some hundred bytes and more. */
export class Literal {
  /**
   * @param bytes at least one; copied
   * @param nocase ASCII letters of either case are equal
   * @throws RangeError when empty
   */
  constructor(bytes: Uint8Array, nocase: boolean);
  /** Offset within buf[off, off+len) of the first occurrence that lies wholly inside, -1 = none. */
  find(buf: Uint8Array, off: number, len: number): number;
}

// ---- decompression -----------------------------------------------------------------------------------------------

/** Raw DEFLATE (RFC 1951), incremental. */
export class Inflater {
  /** Forget everything: the next push starts a new stream. */
  reset(): void;
  /**
   * Decode buf[off, off+len) into `out` from its start.
   * @param used filled with the bytes read and the bytes written
   * @returns 0 all input used, 1 end of the stream, 2 `out` is full, -1 malformed data (what was decoded before it is in `out`)
   */
  push(buf: Uint8Array, off: number, len: number, out: Uint8Array, used: Int32Array): number;
}

// ---- stream sockets that carry descriptors, and vsock ----------------------------------------------------------

/** Listen on a UNIX socket; a socket file that nobody listens on any more is replaced. @throws EADDRINUSE, EACCES, ENOENT */
export function listenUnix(path: string, mode: number): number;
/** Listen on a vsock port for every context id. @throws EAFNOSUPPORT, EADDRINUSE, EACCES */
export function listenVsock(port: number): number;
export interface AcceptedSocket {
  fd: number;
  /** Of the peer process, as the kernel knows it (UNIX); -1 for vsock. */
  pid: number;
  uid: number;
  gid: number;
  /** Context id of the VM (vsock); -1 for UNIX. */
  cid: number;
}
/** @returns null when nobody waits. @throws EMFILE, ENFILE, EBADF */
export function acceptSocket(listener: number): AcceptedSocket | null;
/**
 * Receive what is there. @param descriptors [0] becomes the number of descriptors received (16 at most, more are closed),
 * [1] and on the descriptors: the caller's from now on
 * @returns bytes; 0 = closed by the peer; negative errno (-11 EAGAIN: nothing there)
 */
export function receiveSocket(fd: number, buf: Uint8Array, off: number, len: number, descriptors: Int32Array): number;
/** @returns bytes taken, or negative errno (-11 EAGAIN: no room) */
export function sendSocket(fd: number, buf: Uint8Array, off: number, len: number): number;
/**
 * Read what the page cache holds, never waiting for a disk.
 * @returns bytes (fewer than asked for: end of the file, or of what is cached), or negative errno (-11 EAGAIN: not cached,
 *   -95 EOPNOTSUPP: the filesystem cannot tell)
 */
export function readCached(fd: number, buf: Uint8Array, off: number, len: number, position: number): number;

export const POLL_IN: number;
export const POLL_OUT: number;
/** Readiness of many descriptors (level-triggered), told in one call of the event loop. */
export class Poller {
  /** @param onReady called when some descriptor is ready; fetches them by `ready` */
  constructor(onReady: () => void);
  add(fd: number, events: number): void;
  modify(fd: number, events: number): void;
  remove(fd: number): void;
  /** Fills pairs (descriptor, events; errors and hang-ups are reported unasked, 8 and 16). @returns pairs, 256 at most */
  ready(out: Int32Array): number;
  /** The descriptors added stay the caller's. */
  close(): void;
}
