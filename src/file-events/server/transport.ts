/** A byte stream with a driver at its other end, whatever carries it. */

export interface PeerInfo {
  readonly kind: 'unix' | 'vsock' | 'tls';
  /** Of the connecting process (UNIX socket), else -1. */
  readonly pid: number;
  readonly uid: number;
  /** Context id of the VM (vsock), else -1. */
  readonly cid: number;
  /** For people: "unix pid 12 uid 0", "vsock cid 3", "tls 192.0.2.1:4711". */
  readonly name: string;
}

export interface Transport {
  readonly peer: PeerInfo;
  /** Bytes accepted by `write` that the peer has not taken. */
  readonly unsent: number;
  /** Takes a copy. Does nothing after `close`. */
  write(bytes: Buffer): void;
  /** Flushes what it can and closes; `closed` is not called for it. */
  close(): void;
}

/** Who reads the stream. */
export interface TransportReader {
  /** The bytes are overwritten after the call. */
  bytes(buf: Buffer, length: number): void;
  /** Descriptors that came with the bytes that follow; the reader's from now on. */
  descriptors(fds: readonly number[]): void;
  /** The peer is gone, or the stream failed. Called once; nothing follows. */
  closed(reason: string): void;
}

/** Grows by doubling, shrinks back to nothing when drained: an idle connection holds no buffer. */
export class SendQueue {
  #buf: Buffer = EMPTY;
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  push(bytes: Buffer): void {
    const n = bytes.length;
    if (this.#end + n > this.#buf.length) {
      const have = this.length;
      const target = have + n <= this.#buf.length ? this.#buf : Buffer.allocUnsafeSlow(Math.max(have + n, this.#buf.length * 2, MIN));
      this.#buf.copy(target, 0, this.#start, this.#end);
      this.#buf = target;
      this.#start = 0;
      this.#end = have;
    }
    bytes.copy(this.#buf, this.#end);
    this.#end += n;
  }

  /** @param send returns bytes taken, or a negative errno. @returns its last answer, 0 when drained */
  drain(send: (buf: Buffer, off: number, len: number) => number): number {
    while (this.#end > this.#start) {
      const n = send(this.#buf, this.#start, this.#end - this.#start);
      if (n <= 0) return n;
      this.#start += n;
    }
    this.#start = 0;
    this.#end = 0;
    if (this.#buf.length > KEEP) this.#buf = EMPTY;
    return 0;
  }
}

const MIN = 512;
const KEEP = 4096;
const EMPTY = Buffer.alloc(0);
