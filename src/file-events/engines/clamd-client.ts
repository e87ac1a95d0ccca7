/**
 * Client of clamd's UNIX socket (clamd(8), COMMANDS; the `z` forms, NUL-terminated). One connection a command: clamd keeps a
 * thread per open connection, and a fresh one needs no state when the daemon was restarted in between.
 */
import { createConnection, type Socket } from 'node:net';
import { chunksOf, type ScanContent } from './content.js';

/** Replies are one line; anything longer is not clamd. STATS is the longest. */
const MAX_REPLY = 64 * 1024;

export class ClamdError extends Error {
  /** `unavailable`: nobody answers there; `timeout`; `protocol`: it answered something else. */
  readonly kind: 'unavailable' | 'timeout' | 'protocol';

  constructor(kind: ClamdError['kind'], message: string) {
    super(message);
    this.kind = kind;
  }
}

/** @returns the reply without its NUL. @throws ClamdError */
export function clamdCommand(socketPath: string, command: string, signal: AbortSignal): Promise<string> {
  return exchange(socketPath, signal, async (socket) => {
    socket.write(`z${command}\0`);
  });
}

/** INSTREAM: chunks with a 32-bit big-endian length, an empty one at the end. @throws ClamdError */
export function clamdInstream(socketPath: string, content: ScanContent, signal: AbortSignal): Promise<string> {
  return exchange(socketPath, signal, async (socket, drained) => {
    socket.write('zINSTREAM\0');
    for (const chunk of chunksOf(content)) {
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32BE(chunk.length);
      socket.write(length);
      // The chunk buffer is reused for content on disk, so the kernel must have taken it before the next one.
      const held = content.bytes === null ? Buffer.from(chunk) : chunk;
      if (!socket.write(held) && !(await drained())) return;
    }
    socket.write(Buffer.alloc(4));
  });
}

type Send = (socket: Socket, drained: () => Promise<boolean>) => Promise<void>;

function exchange(socketPath: string, signal: AbortSignal, send: Send): Promise<string> {
  return new Promise<string>((settle, reject) => {
    if (signal.aborted) {
      reject(new ClamdError('timeout', 'no time left'));
      return;
    }
    const socket = createConnection(socketPath);
    const parts: Buffer[] = [];
    let bytes = 0;
    let open = true;
    let wake: (() => void) | null = null;
    const finish = (error: ClamdError | null, reply: string): void => {
      if (!open) return;
      open = false;
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      wake?.();
      if (error === null) settle(reply);
      else reject(error);
    };
    const onAbort = (): void => finish(new ClamdError('timeout', `no answer from ${socketPath} in time`), '');
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('drain', () => wake?.());
    socket.on('error', (error) => {
      // clamd answers and closes while content is still being sent (size limit): what it said before counts.
      if (bytes > 0 && Buffer.concat(parts).includes(0)) return;
      finish(new ClamdError('unavailable', `${socketPath}: ${error.message}`), '');
    });
    socket.on('data', (data: Buffer) => {
      parts.push(data);
      bytes += data.length;
      if (bytes > MAX_REPLY) finish(new ClamdError('protocol', `${socketPath}: reply longer than ${MAX_REPLY} bytes`), '');
      else if (data.includes(0)) {
        const all = Buffer.concat(parts);
        finish(null, all.toString('utf8', 0, all.indexOf(0)).trim());
      }
    });
    socket.on('close', () => finish(new ClamdError('unavailable', `${socketPath}: closed without an answer`), ''));
    const drained = (): Promise<boolean> =>
      new Promise((go) => {
        if (!open) {
          go(false);
          return;
        }
        wake = () => {
          wake = null;
          go(open);
        };
      });
    socket.once('connect', () => {
      send(socket, drained).catch((error: unknown) => finish(new ClamdError('protocol', String(error)), ''));
    });
  });
}
