/**
 * Engine `clamd`: Debian's clamav-daemon over its UNIX socket. clamd by itself calls a file clean when it exceeds one of its
 * limits or is encrypted; so at each start we show it one of either, and do not believe a daemon that finds them clean.
 */
import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ClamdError, clamdCommand, clamdInstream } from './clamd-client.js';
import { contentOf, type ScanContent } from './content.js';
import { CLEAN, failed, malicious, notFullyScanned, reasonOf, type Engine, type ScanResult } from './engine.js';

export interface ClamdOptions {
  readonly socket: string;
  /** Its DatabaseDirectory: watched for new signatures; '' relies on the version clamd tells. */
  readonly database: string;
  /** Seconds it may take to load new signatures, during which verdicts keep the old epoch. */
  readonly reload_seconds: number;
}

/** Longest wait for an answer that needs no scan. */
const COMMAND_MS = 5000;
/** Tenths of a second clamd may take beyond `reload_seconds` until a refresh is given up. */
const MAX_LOADING_TENTHS = 3000;
/** Pauses before a connection is tried again while a restart may be under way; the time limit of the scan ends it. */
const RETRY_MS = [20, 50, 100, 200, 400, 800, 1600];

export class ClamdEngine implements Engine {
  readonly name = 'clamd';
  epoch = '';
  /** Connections that failed and were tried again. */
  retries = 0;
  readonly #options: ClamdOptions;
  readonly #sleep: (ms: number) => Promise<void>;
  /** False until the daemon behind the socket was seen to report what it does not scan. */
  #trusted = false;

  /** @param sleep waits; an argument for tests */
  constructor(options: ClamdOptions, sleep: (ms: number) => Promise<void>) {
    this.#options = options;
    this.#sleep = sleep;
  }

  async start(): Promise<void> {
    await this.#prove(AbortSignal.timeout(COMMAND_MS));
    this.epoch = await this.#fingerprint();
  }

  async scan(content: ScanContent, signal: AbortSignal): Promise<ScanResult> {
    for (let attempt = 0; ; attempt++) {
      try {
        if (!this.#trusted) await this.#prove(signal);
        return interpret(this.name, await clamdInstream(this.#options.socket, content, signal));
      } catch (error) {
        if (!(error instanceof ClamdError)) return failed(this.name, `clamd-config: ${reasonOf(error)}`);
        // Whoever comes back on that socket may have another configuration.
        if (error.kind === 'unavailable') this.#trusted = false;
        const pause = RETRY_MS[attempt];
        if (error.kind !== 'unavailable' || pause === undefined || signal.aborted) return failed(this.name, `${error.kind}: ${error.message}`);
        this.retries++;
        await this.#sleep(pause);
      }
    }
  }

  async refresh(): Promise<boolean> {
    const before = await this.#fingerprint();
    if (before === this.epoch) return false;
    await clamdCommand(this.#options.socket, 'RELOAD', AbortSignal.timeout(COMMAND_MS));
    const least = this.#options.reload_seconds * 10;
    for (let tenth = 0; tenth < least || (await this.#loading()); tenth++) {
      if (tenth > least + MAX_LOADING_TENTHS) throw new Error(`clamd at ${this.#options.socket} is still loading signatures; verdicts keep the old epoch`);
      await this.#sleep(100);
    }
    // Files that changed while clamd was loading may be in or not: the next refresh finds them.
    this.epoch = before;
    return true;
  }

  async close(): Promise<void> {
    this.#trusted = false;
  }

  /** True while two signature sets are in its memory: the one being loaded and the one in use. */
  async #loading(): Promise<boolean> {
    const stats = await clamdCommand(this.#options.socket, 'STATS', AbortSignal.timeout(COMMAND_MS));
    const pools = /\bpools (\d+)/.exec(stats);
    return pools !== null && Number(pools[1]) > 1;
  }

  async #prove(signal: AbortSignal): Promise<void> {
    const { socket } = this.#options;
    const pong = await clamdCommand(socket, 'PING', signal);
    if (pong !== 'PONG') throw new ClamdError('protocol', `${socket}: answered PING with "${pong.slice(0, 40)}"`);
    const probes = [
      [deepArchive(), 'AlertExceedsMax'],
      [ENCRYPTED_ZIP, 'AlertEncrypted'],
    ] as const;
    for (const [probe, setting] of probes) {
      const reply = await clamdInstream(socket, contentOf(probe), signal);
      if (interpret(this.name, reply).outcome === 'clean') {
        throw new Error(`clamd at ${socket} calls files clean that it did not scan: set "${setting} yes" in its clamd.conf and restart it`);
      }
    }
    this.#trusted = true;
  }

  async #fingerprint(): Promise<string> {
    const hash = createHash('sha256').update(await clamdCommand(this.#options.socket, 'VERSION', AbortSignal.timeout(COMMAND_MS)));
    if (this.#options.database !== '') {
      for (const name of (await readdir(this.#options.database)).toSorted()) {
        const s = await stat(join(this.#options.database, name), { bigint: true }).catch(() => null);
        if (s?.isFile() === true) hash.update(`${name}:${s.size}:${s.mtimeNs}:${s.ino}\n`);
      }
    }
    return hash.digest('hex').slice(0, 16);
  }
}

/** What clamd says of a stream: `stream: OK`, `stream: NAME FOUND`, or text ending in ERROR. */
export function interpret(engine: string, reply: string): ScanResult {
  if (reply === 'stream: OK') return CLEAN;
  const found = /^stream: (.+) FOUND$/.exec(reply);
  if (found !== null) {
    const name = found[1]!;
    const limit = /^Heuristics\.Limits\.Exceeded(?:\.(\w+))?/.exec(name);
    if (limit !== null) return notFullyScanned(engine, `limit: ${limit[1] ?? 'exceeded'}`);
    if (name.startsWith('Heuristics.Encrypted')) return notFullyScanned(engine, `encrypted: ${name.slice('Heuristics.Encrypted.'.length)}`);
    return malicious(engine, name.replace(/\.UNOFFICIAL$/, ''));
  }
  if (reply.startsWith('INSTREAM size limit exceeded')) return notFullyScanned(engine, 'limit: StreamMaxLength');
  return failed(engine, `engine-error: ${reply.slice(0, 200)}`);
}

/** clamd's MaxRecursion cannot be set above 100: this is deeper. */
function deepArchive(): Buffer {
  let data: Buffer = Buffer.from('probe');
  for (let i = 0; i < 110; i++) data = gzipSync(data, { level: 1 });
  return data;
}

/** A ZIP of one stored entry whose encryption flag is set (APPNOTE 4.4.4, bit 0); 12 bytes of encryption header, 4 of data. */
const ENCRYPTED_ZIP = ((): Buffer => {
  const entry = Buffer.alloc(26);
  [20, 1, 0, 0, 0x21].forEach((v, i) => entry.writeUInt16LE(v, i * 2));
  entry.writeUInt32LE(0x12345678, 10);
  entry.writeUInt32LE(16, 14);
  entry.writeUInt32LE(4, 18);
  entry.writeUInt16LE(1, 22);
  const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), entry, Buffer.from('a'), Buffer.alloc(16, 1)]);
  const central = Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), entry, Buffer.alloc(14), Buffer.from('a')]);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
})();
