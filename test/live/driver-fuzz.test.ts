/**
 * The driver against an appliance that knows the token and is hostile: mutated and random frames, under AddressSanitizer and
 * UBSan. It runs in a root directory of its own (tmpfs, own process namespace): what it is told to watch or to write is there.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { FieldWriter, FrameSplitter, MessageType, applianceProof, decodeMessage, encodeMessage, identityKey, type ApplianceMessage, type Hello } from '../../src/file-events/index.js';

const T = MessageType;
const SECONDS = Number(process.env['DRIVER_FUZZ_SECONDS'] ?? 6);
const root = fileURLToPath(new URL('../../../', import.meta.url));
const binary = join(root, 'guest/build/drawbridge-driver-asan');
const TOKEN = 'fuzz token of some length';
const identity = identityKey({ device: 1n, inode: 2n, size: 3n, mtimeNs: 4n, ctimeNs: 5n, change: 0n });

const CONFIG: ApplianceMessage = {
  type: T.CONFIG, epoch: 1, heartbeatMs: 500, maxOutstanding: 16, passDescriptors: true, kernelCache: true,
  mounts: [{ path: '/', scope: 2, events: 31, failure: 1, timeoutMs: 200, maxSize: 0 }], filters: [{ kind: 2, value: '/a/**/*b?' }, { kind: 5, value: 'elf' }],
};

/** What a well-meaning appliance could say; ids and handles from the ranges in use. */
function sample(pick: (n: number) => number): ApplianceMessage {
  const id = pick(40);
  const file = pick(2) === 0 ? pick(5000) : 0x8000_0000 + pick(64) + 64 * pick(20);
  const path = ['/', '/dir', '/file', '/dir/new', '/none/x', '/dir/../file', '/link', '//'][pick(8)]!;
  const all: ApplianceMessage[] = [
    CONFIG,
    { type: T.DISPOSITION, id: pick(70_000), verdict: 1, remember: pick(2) === 0 },
    { type: T.READ, id, file, offset: pick(100_000), length: 1 + pick(65_536) },
    { type: T.HASH, id, file },
    { type: T.OPEN, id, path },
    { type: T.CLOSE, id, file },
    { type: T.LIST, id, path, hashUpTo: pick(100_000) },
    { type: T.MORE, id, count: pick(100) },
    { type: T.FOLLOW, id, path, offset: pick(3) - 1 },
    { type: T.STOP, id },
    { type: T.REMOVE, id, path, identity },
    { type: T.CREATE, id, path, mode: 0o644, uid: 0, gid: 0, mtimeNs: BigInt(pick(1000)) },
    { type: T.WRITE, id, file, offset: pick(1000), bytes: new Uint8Array(pick(2000)) },
    { type: T.COMMIT, id, file },
    { type: T.FORGET, id: 0, epoch: pick(100) },
    { type: T.PONG, id },
  ];
  return all[pick(all.length)]!;
}

/** @returns why it cannot run here */
function missing(): string {
  if (process.getuid?.() !== 0) return 'not root';
  const built = spawnSync(process.execPath, [join(root, 'scripts/build-guest.mjs'), '--asan'], { encoding: 'utf8' });
  if (built.status !== 0) return `no sanitizer build: ${built.stderr.slice(0, 200)}`;
  if (spawnSync('unshare', ['--pid', '--fork', 'true']).status !== 0) return 'unshare does not work';
  return '';
}

const why = missing();
if (why !== '') process.stdout.write(`driver fuzzing skipped: ${why}\n`);

(why === '' ? test : test.skip)('a hostile appliance neither crashes nor hangs the driver', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'drawbridge-fuzz-'));
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'drawbridge-fuzz', folder]);
  const children: ChildProcess[] = [];
  t.teardown(() => {
    for (const child of children) child.kill('SIGKILL');
    spawnSync('umount', ['-l', join(folder, 'proc')]);
    spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  });
  for (const dir of ['proc', 'dir', 'tmp']) mkdirSync(join(folder, dir));
  cpSync(binary, join(folder, 'driver'));
  for (const line of spawnSync('ldd', [binary], { encoding: 'utf8' }).stdout.split('\n')) {
    const lib = /(\/\S+)/.exec(line)?.[1];
    if (lib === undefined) continue;
    mkdirSync(join(folder, dirname(lib)), { recursive: true });
    cpSync(realpathSync(lib), join(folder, lib));
  }
  cpSync('/bin/sleep', join(folder, 'victim'));
  writeFileSync(join(folder, 'file'), 'x'.repeat(100_000));
  for (let i = 0; i < 300; i++) writeFileSync(join(folder, 'dir', `f${i}`), `${i}`);
  writeFileSync(join(folder, 'token'), TOKEN, { mode: 0o600 });

  let seed = 12_345;
  const pick = (n: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const writer = new FieldWriter();
  const nonce = new Uint8Array(32).fill(3);
  const sockets = new Set<Socket>();
  let sessions = 0;
  let frames = 0;
  const server = createServer((socket: Socket) => {
    sockets.add(socket);
    const splitter = new FrameSplitter();
    const send = (m: ApplianceMessage): void => void socket.write(Buffer.from(encodeMessage(writer, m)));
    const attack = (): void => {
      for (let i = 0; i < 20 && !socket.destroyed; i++) {
        const frame = Buffer.from(encodeMessage(writer, sample(pick)));
        // Most stay well formed, so that what is behind the parser is reached as well.
        const edits = pick(12) === 0 ? 1 + pick(3) : 0;
        for (let k = 0; k < edits; k++) frame[pick(20) === 0 ? pick(4) : 4 + pick(frame.length - 4)] = pick(256);
        if (pick(200) === 0) socket.write(frame.subarray(0, pick(frame.length)));
        else socket.write(frame);
        frames++;
      }
      if (!socket.destroyed) setTimeout(attack, 2);
    };
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      splitter.push(chunk, chunk.length, (buf, at, length) => {
        const m = decodeMessage(buf, at, length);
        if (m.type !== T.HELLO) return true;
        const hello: Hello = m;
        sessions++;
        send({ type: T.WELCOME, version: 1, proof: applianceProof(TOKEN, nonce, hello.nonce, 'vm') });
        send(CONFIG);
        attack();
        return true;
      });
    });
    send({ type: T.CHALLENGE, minVersion: 1, maxVersion: 1, nonce });
  });
  await new Promise<void>((settle) => server.listen(join(folder, 's'), settle));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  const inside = `mount -t proc proc ${folder}/proc && exec chroot ${folder} /driver --connect unix:/s --vm vm --token-file /token`;
  const driver = spawn('unshare', ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', inside], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=0:exitcode=77', UBSAN_OPTIONS: 'print_stacktrace=1' },
  });
  children.push(driver);
  let log = '';
  driver.stderr.on('data', (text: Buffer) => (log = (log + text.toString()).slice(-20_000)));
  const deaths: string[] = [];
  driver.on('exit', (code, signal) => deaths.push(`${code} ${signal}`));
  // Processes that open files meanwhile: none may hang.
  const limit = Date.now() + SECONDS * 1000;
  let slowest = 0;
  while (Date.now() < limit && deaths.length === 0) {
    const began = performance.now();
    const victim = spawn('timeout', ['-s', 'KILL', '15', 'cat', join(folder, 'dir', `f${pick(300)}`)], { stdio: 'ignore' });
    children.push(victim);
    await new Promise((settle) => victim.on('close', settle));
    slowest = Math.max(slowest, performance.now() - began);
    children.pop();
  }
  t.deepEqual(deaths, [], log);
  t.false(/ERROR: AddressSanitizer|runtime error/.test(log), log);
  t.true(sessions > 3 && frames > 500, `${sessions} sessions, ${frames} frames, ${log}`);
  // 15 s would mean that it was killed while it waited; each configuration that arrives brings 200 ms again.
  t.true(slowest < 14_000, `slowest open ${slowest.toFixed(0)} ms`);
  t.log(`${sessions} sessions, ${frames} frames, slowest open ${slowest.toFixed(0)} ms`);
});
