/** A private clamd with a signature database of our own: no update server is needed, and the system's daemon is left alone. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The EICAR test file, in pieces so that scanners do not find it in this source. */
export const EICAR = Buffer.from(['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR', '-STANDARD-ANTIVIRUS-', 'TEST-FILE!$H+H*'].join(''), 'latin1');
export const TEST_FILES = '/usr/share/clamav-testfiles';

/** @returns why clamd cannot be run here, '' when it can */
export function clamdMissing(): string {
  if (spawnSync('clamd', ['--version']).error !== undefined) return 'clamd is not installed (apt-get install clamav-daemon)';
  if (!existsSync(TEST_FILES)) return 'the test files are not installed (apt-get install clamav-testfiles)';
  return '';
}

export class PrivateClamd {
  readonly directory: string;
  readonly socket: string;
  readonly database: string;
  #process: ChildProcess | null = null;
  readonly #settings: string;

  /** @param settings further lines of clamd.conf */
  constructor(settings = 'AlertExceedsMax yes\nAlertEncrypted yes\n') {
    this.directory = mkdtempSync(join(tmpdir(), 'drawbridge-clamd-'));
    this.socket = join(this.directory, 'clamd.sock');
    this.database = join(this.directory, 'db');
    this.#settings = settings;
    mkdirSync(this.database);
    this.signature('Eicar-Test-Signature', EICAR);
    const sample = join(TEST_FILES, 'clam.exe');
    if (existsSync(sample)) this.hash('ClamAV-Test-File', readFileSync(sample));
  }

  /** A body signature: the bytes anywhere in a file (.ndb). */
  signature(name: string, bytes: Uint8Array): void {
    writeFileSync(join(this.database, `${name}.ndb`), `${name}:0:*:${Buffer.from(bytes).toString('hex')}\n`);
  }

  /** A whole-file MD5 signature (.hdb). */
  hash(name: string, bytes: Uint8Array): void {
    writeFileSync(join(this.database, `${name}.hdb`), `${createHash('md5').update(bytes).digest('hex')}:${bytes.length}:${name}\n`);
  }

  /** Start it and wait until it answers. */
  async start(): Promise<void> {
    const conf = join(this.directory, 'clamd.conf');
    const user = process.getuid?.() === 0 ? 'User root\n' : '';
    writeFileSync(conf, `LocalSocket ${this.socket}\nDatabaseDirectory ${this.database}\nTemporaryDirectory ${this.directory}\nForeground yes\nMaxThreads 4\n${user}${this.#settings}`);
    rmSync(this.socket, { force: true });
    const child = spawn('clamd', ['-c', conf], { stdio: 'ignore' });
    this.#process = child;
    for (let i = 0; i < 300; i++) {
      if (child.exitCode !== null) throw new Error(`clamd ended with ${child.exitCode}`);
      if (await this.#answers()) return;
      await new Promise((go) => setTimeout(go, 50));
    }
    throw new Error('clamd does not answer');
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** kill -9, as a crash would. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null) return;
    const ended = new Promise((go) => child.once('exit', go));
    child.kill('SIGKILL');
    await ended;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #answers(): Promise<boolean> {
    return new Promise((settle) => {
      const socket = createConnection(this.socket, () => socket.write('zPING\0'));
      socket.on('data', () => {
        socket.destroy();
        settle(true);
      });
      socket.on('error', () => settle(false));
    });
  }
}
