/**
 * SSH (RFC 4253): banners and key-exchange lists until both sides switch to encryption.
 * Progress of a direction: 1 banner, 2 KEXINIT, 3 NEWKEYS (everything behind it is encrypted).
 */
import { createHash } from 'node:crypto';
import type { Flow } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { CR, LF, SP, ascii, printable } from './bytes.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';
import { Transaction, type BufferSpec, type ByteSlice } from './transaction.js';

const KEXINIT = 20;
const NEWKEYS = 21;
/** RFC 4253 section 4.2 allows 255 bytes; other lines may come first. */
const BANNER_MAX = 256;
const LINES_MAX = 8192;
/** RFC 4253 section 6.1 asks for 35000; a longer packet before NEWKEYS is nonsense. */
const PACKET_MAX = 40000;
const SSH = ascii('SSH-');

export const SshProgress = { STARTED: 0, BANNER: 1, KEX: 2, DONE: 3 } as const;

class SshPeer {
  proto: Uint8Array | null = null;
  software: Uint8Array | null = null;
  hasshString: Uint8Array | null = null;
  hassh: Uint8Array | null = null;
}

export class SshTransaction extends Transaction {
  readonly client = new SshPeer();
  readonly server = new SshPeer();

  peer(dir: number): SshPeer {
    return dir === 0 ? this.client : this.server;
  }

  /** Suricata's EVE ssh object. */
  override record(): TransactionRecord | null {
    if (this.client.proto === null && this.server.proto === null) return null;
    return { type: 'ssh', body: { client: describe(this.client), server: describe(this.server) }, toServer: true };
  }
}

function describe(peer: SshPeer): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  if (peer.proto !== null) out['proto_version'] = printable(peer.proto, 0, peer.proto.length);
  if (peer.software !== null) out['software_version'] = printable(peer.software, 0, peer.software.length);
  if (peer.hassh !== null && peer.hasshString !== null) {
    out['hassh'] = { hash: printable(peer.hassh, 0, 32), string: printable(peer.hasshString, 0, peer.hasshString.length) };
  }
  return out;
}

class SshParser implements AppParser {
  encrypted = false;
  readonly #done = [false, false];
  readonly #before = [0, 0]; // bytes of lines in front of the banner
  readonly #skip = [0, 0]; // bytes of an uninteresting packet still to come
  #tx: SshTransaction | null = null;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    if (this.#tx === null) {
      this.#tx = new SshTransaction();
      flow.transactions.push(this.#tx);
    }
    const tx = this.#tx;
    let pos = off;
    while (pos < end && !this.#done[dir]) {
      const n = tx.peer(dir).proto === null ? this.#banner(tx, dir, buf, pos, end) : this.#packet(tx, dir, buf, pos, end);
      if (n < 0) return -1;
      if (n === 0) break;
      pos += n;
    }
    if (this.#done[dir]) pos = end;
    if (this.#done[0] && this.#done[1]) this.encrypted = true;
    return pos - off;
  }

  #banner(tx: SshTransaction, dir: number, buf: Uint8Array, off: number, end: number): number {
    let lf = off;
    while (lf < end && buf[lf] !== LF) lf++;
    if (lf === end) {
      if (end - off <= BANNER_MAX) return 0;
      tx.addEvent('ssh.long_banner');
      return -1;
    }
    let stop = lf;
    if (stop > off && buf[stop - 1] === CR) stop--;
    if (!isBanner(buf, off, stop)) {
      // a server may send other lines first (RFC 4253 section 4.2)
      this.#before[dir]! += lf + 1 - off;
      if (this.#before[dir]! <= LINES_MAX) return lf + 1 - off;
      tx.addEvent('ssh.invalid_banner');
      return -1;
    }
    const peer = tx.peer(dir);
    let dash = off + 4;
    while (dash < stop && buf[dash] !== 45) dash++;
    peer.proto = buf.slice(off + 4, dash);
    if (dash === stop) tx.addEvent('ssh.invalid_banner');
    else {
      let e = dash + 1;
      while (e < stop && buf[e] !== SP) e++;
      peer.software = buf.slice(dash + 1, e);
    }
    this.#touch(tx, dir, SshProgress.BANNER);
    return lf + 1 - off;
  }

  #packet(tx: SshTransaction, dir: number, buf: Uint8Array, off: number, end: number): number {
    if (this.#skip[dir]! > 0) {
      const n = Math.min(this.#skip[dir]!, end - off);
      this.#skip[dir]! -= n;
      return n;
    }
    if (end - off < 6) return 0;
    const len = ((buf[off]! << 24) | (buf[off + 1]! << 16) | (buf[off + 2]! << 8) | buf[off + 3]!) >>> 0;
    const type = buf[off + 5]!;
    if (len < 2 || len > PACKET_MAX) {
      tx.addEvent('ssh.invalid_record');
      return -1;
    }
    if (type === KEXINIT) {
      if (end - off < 4 + len) return 0;
      this.#kexInit(tx, dir, buf, off + 6, off + 4 + len);
      return 4 + len;
    }
    if (type === NEWKEYS) {
      this.#done[dir] = true;
      this.#touch(tx, dir, SshProgress.DONE);
      if (dir === 0) tx.doneToServer = true;
      else tx.doneToClient = true;
    }
    const n = Math.min(4 + len, end - off);
    this.#skip[dir] = 4 + len - n;
    return n;
  }

  /** HASSH: the algorithm lists of this side's direction, and their MD5. */
  #kexInit(tx: SshTransaction, dir: number, buf: Uint8Array, off: number, end: number): void {
    const lists: string[] = [];
    let pos = off + 16; // cookie
    for (let i = 0; i < 8; i++) {
      if (pos + 4 > end) {
        tx.addEvent('ssh.invalid_record');
        return;
      }
      const len = ((buf[pos]! << 24) | (buf[pos + 1]! << 16) | (buf[pos + 2]! << 8) | buf[pos + 3]!) >>> 0;
      pos += 4;
      if (len > end - pos) {
        tx.addEvent('ssh.invalid_record');
        return;
      }
      lists.push(printable(buf, pos, len));
      pos += len;
    }
    // kex, host key, cipher c2s, s2c, mac c2s, s2c, compression c2s, s2c
    const text = [lists[0], lists[2 + dir], lists[4 + dir], lists[6 + dir]].join(';');
    const peer = tx.peer(dir);
    peer.hasshString = ascii(text);
    peer.hassh = ascii(createHash('md5').update(text).digest('hex'));
    this.#touch(tx, dir, SshProgress.KEX);
  }

  #touch(tx: SshTransaction, dir: number, progress: number): void {
    if (dir === 0) {
      tx.progressToServer = progress;
      tx.dirtyToServer = true;
    } else {
      tx.progressToClient = progress;
      tx.dirtyToClient = true;
    }
  }

  gap(_flow: Flow, dir: number): boolean {
    return this.#done[dir]!;
  }

  close(): void {
    // nothing is held beyond the stream buffer
  }
}

function isBanner(buf: Uint8Array, off: number, end: number): boolean {
  if (end - off < 5) return false;
  for (let i = 0; i < 4; i++) if (buf[off + i] !== SSH[i]) return false;
  return true;
}

function probe(buf: Uint8Array, off: number, end: number): number {
  for (let i = 0; i < 4; i++) {
    if (off + i >= end) return PROBE_MORE;
    if (buf[off + i] !== SSH[i]) return PROBE_NO;
  }
  return PROBE_YES;
}

function spec(name: string, dirs: 'both' | 'client' | 'server', minProgress: number, field: keyof SshPeer): BufferSpec<Transaction> {
  return {
    name,
    toServer: dirs !== 'server',
    toClient: dirs !== 'client',
    minProgress,
    get(tx: Transaction, dir: number, index: number, out: ByteSlice): boolean {
      const value = index === 0 ? (tx as SshTransaction).peer(dir)[field] : null;
      return value !== null && out.set(value, 0, value.length);
    },
  };
}

export const SSH_PROTOCOL: AppProtocol = {
  name: 'ssh',
  transports: ['tcp'],
  ports: [22],
  probe,
  create: () => new SshParser(),
  buffers: [
    spec('ssh.proto', 'both', SshProgress.BANNER, 'proto'),
    spec('ssh.software', 'both', SshProgress.BANNER, 'software'),
    spec('ssh.hassh', 'client', SshProgress.KEX, 'hassh'),
    spec('ssh.hassh.string', 'client', SshProgress.KEX, 'hasshString'),
    spec('ssh.hassh.server', 'server', SshProgress.KEX, 'hassh'),
    spec('ssh.hassh.server.string', 'server', SshProgress.KEX, 'hasshString'),
  ],
  completeToServer: SshProgress.DONE,
  completeToClient: SshProgress.DONE,
  events: ['ssh.invalid_banner', 'ssh.long_banner', 'ssh.invalid_record'],
};
