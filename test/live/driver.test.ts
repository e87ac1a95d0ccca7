/** The real driver on a small filesystem of its own, and the real server in a process that can be killed. Needs root. */
import { execFileSync, fork, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import anyTest, { type ExecutionContext, type TestFn } from 'ava';
import type { DriverPolicy, MountPolicy } from '../../src/file-events/index.js';
import { MARKER, type Command } from '../helpers/file-appliance.js';

const here = dirname(fileURLToPath(import.meta.url));
const DRIVER = join(here, '../../../guest/build/drawbridge-driver');
const FIXTURE = join(here, '../helpers/file-appliance.js');
const root = process.getuid?.() === 0;
if (!root) process.stdout.write('driver tests skipped: not root\n');
const test = (root ? anyTest.serial : anyTest.serial.skip) as TestFn;
const OPEN = 1;
const EXEC = 2;
const ACCESS = 4;
const CLOSE_WRITE = 8;
const CHANGES = 16;

class Place {
  readonly folder = mkdtempSync(join(tmpdir(), 'drawbridge-driver-'));
  readonly mount = join(this.folder, 'mnt');
  readonly socket = join(this.folder, 's');
  driver: ChildProcess | null = null;
  driverLog = '';
  #appliance: ChildProcess | null = null;
  #ids = 0;
  readonly #policy: DriverPolicy;

  constructor(t: ExecutionContext, mount: Partial<MountPolicy>, policy: Partial<DriverPolicy> = {}) {
    mkdirSync(this.mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'drawbridge-test', this.mount]);
    writeFileSync(join(this.folder, 'token'), 'shared secret\n', { mode: 0o600 });
    this.#policy = {
      heartbeatMs: 300, maxOutstanding: 64, passDescriptors: true, kernelCache: true, filters: [], ...policy,
      mounts: [{ path: this.mount, scope: 2, events: OPEN | EXEC | CLOSE_WRITE, failure: 1, timeoutMs: 1000, maxSize: 0, ...mount }],
    };
    t.teardown(() => {
      this.driver?.kill('SIGKILL');
      this.#appliance?.kill('SIGKILL');
      // Lazily: a process that hangs (which would be the finding) must not keep the mount.
      spawnSync('umount', ['-l', this.mount]);
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  get policy(): DriverPolicy {
    return this.#policy;
  }

  file(name: string, content: string | Buffer, mode = 0o644): string {
    const path = join(this.mount, name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  }

  async startAppliance(token = 'shared secret'): Promise<void> {
    this.#appliance = fork(FIXTURE, [this.socket, token, JSON.stringify(this.#policy)]);
    await new Promise((settle) => this.#appliance!.once('message', settle));
  }

  signalAppliance(signal: NodeJS.Signals): void {
    this.#appliance!.kill(signal);
  }

  startDriver(...extra: string[]): void {
    this.driver = spawn(DRIVER, ['--connect', `unix:${this.socket}`, '--vm', 'vm', '--token-file', join(this.folder, 'token'), ...extra], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.driver.stderr!.on('data', (text: Buffer) => (this.driverLog += text.toString()));
  }

  /** Driver connected and its marks set. */
  async ready(): Promise<void> {
    await until(() => this.driverLog.includes(`${this.mount}: watched`), () => this.driverLog);
  }

  async start(): Promise<void> {
    await this.startAppliance();
    this.startDriver();
    await this.ready();
  }

  async tell<T>(command: Command): Promise<T> {
    const id = ++this.#ids;
    const appliance = this.#appliance!;
    return new Promise<T>((settle, reject) => {
      const listen = (m: { id: number; value?: T; error?: string }): void => {
        if (m.id !== id) return;
        appliance.removeListener('message', listen);
        if (m.error === undefined) settle(m.value as T);
        else reject(new Error(m.error));
      };
      appliance.on('message', listen);
      appliance.send({ id, command });
    });
  }

  /** Exit code, output and milliseconds of a command; 124 = it hung for 8 s. */
  async run(command: string, ...args: string[]): Promise<{ code: number; out: string; ms: number }> {
    const began = performance.now();
    const child = spawn('timeout', ['-s', 'KILL', '8', command, ...args]);
    let out = '';
    child.stdout.on('data', (text: Buffer) => (out += text.toString()));
    child.stderr.on('data', (text: Buffer) => (out += text.toString()));
    const code = await new Promise<number>((settle) => child.on('close', (c) => settle(c ?? 137)));
    return { code, out, ms: performance.now() - began };
  }

  async cat(path: string): Promise<string> {
    const { code, out } = await this.run('cat', path);
    return code === 0 ? out : code === 1 && out.includes('Operation not permitted') ? 'EPERM' : `code ${code} ${out}`;
  }

  async events(): Promise<string[]> {
    return (await this.tell<string[]>({ do: 'log' })).filter((line) => line.startsWith('event'));
  }
}

async function until(what: () => boolean | Promise<boolean>, say: () => string = () => ''): Promise<void> {
  const limit = Date.now() + 8000;
  while (!(await what())) {
    if (Date.now() > limit) throw new Error(`it did not happen; ${say()}`);
    await new Promise((settle) => setTimeout(settle, 20));
  }
}

const aged = (): Promise<void> => new Promise((settle) => setTimeout(settle, 60));

test('what is bad cannot be opened or executed, what is clean can, and is asked about once', async (t) => {
  const p = new Place(t, {});
  const clean = p.file('clean', 'hello');
  const bad = p.file('bad', `text before ${MARKER} text after`);
  const script = p.file('script', `#!/bin/sh\n# ${MARKER}\necho ran\n`, 0o755);
  const program = join(p.mount, 'program');
  copyFileSync('/bin/echo', program);
  chmodSync(program, 0o755);
  await aged();
  await p.start();
  t.is(await p.cat(clean), 'hello');
  t.is(await p.cat(bad), 'EPERM');
  t.not((await p.run(script)).code, 0);
  t.is((await p.run(program, 'it', 'runs')).out, 'it runs\n');
  t.true((await p.events()).every((line) => line.endsWith('fd true')));
  for (let i = 0; i < 3; i++) t.is(await p.cat(clean), 'hello');
  t.deepEqual(await p.events(), []);
  // The kernel forgets what was allowed when the file is written to.
  appendFileSync(clean, MARKER);
  t.is(await p.cat(clean), 'EPERM');
  // A file that may not be opened may still be replaced.
  rmSync(clean);
  p.file('clean', 'good again');
  await aged();
  t.is(await p.cat(clean), 'good again');
  t.true((await p.events()).some((line) => line.startsWith('event 4 ')));
});

test('a file that somebody can still write to is not remembered', async (t) => {
  const p = new Place(t, {});
  const path = p.file('open', 'hello');
  await p.start();
  // Holds the file open for writing while others read it: a mapping could change it without any event.
  const writer = spawn('sh', ['-c', `exec 3>>"${path}"; echo held; sleep 30`]);
  await new Promise((settle) => writer.stdout.once('data', settle));
  await aged();
  await p.events();
  t.is(await p.cat(path), 'hello');
  t.is(await p.cat(path), 'hello');
  t.is((await p.events()).length, 2);
  writer.kill('SIGKILL');
});

test('without descriptors the content travels in chunks, also of a file larger than one', async (t) => {
  const p = new Place(t, {}, { passDescriptors: false });
  const clean = p.file('clean', Buffer.alloc(300_000, 'a'));
  const bad = p.file('bad', Buffer.concat([Buffer.alloc(199_990, 'b'), Buffer.from(MARKER)]));
  await aged();
  await p.start();
  t.is((await p.run('wc', '-c', clean)).out, `300000 ${clean}\n`);
  t.is(await p.cat(bad), 'EPERM');
  t.true((await p.events()).every((line) => line.endsWith('fd false')));
  const stats = await p.tell<{ server: { bytesRead: number } }>({ do: 'stats' });
  t.true(stats.server.bytesRead >= 500_000);
});

test('appliance killed in the middle: nobody waits beyond the time limit, and it is asked again when it is back', async (t) => {
  const p = new Place(t, { timeoutMs: 700 });
  const bad = p.file('bad', MARKER);
  const slow = p.file('slow', 'hello');
  const later = p.file('later', 'hello');
  await p.start();
  t.is(await p.cat(bad), 'EPERM');
  const waiting = p.run('cat', slow);
  await new Promise((settle) => setTimeout(settle, 150));
  p.signalAppliance('SIGKILL');
  const { code, out, ms } = await waiting;
  t.deepEqual([code, out], [0, 'hello']);
  t.true(ms > 500 && ms < 2500, `${ms} ms`);
  await new Promise((settle) => setTimeout(settle, 800));
  // Gone for longer than the limit: the policy answers at once.
  const gone = await p.run('cat', later);
  t.is(gone.code, 0);
  t.true(gone.ms < 600, `${gone.ms} ms`);
  await p.startAppliance();
  await until(async () => (await p.tell<number>({ do: 'sessions' })) === 1, () => p.driverLog);
  t.is(await p.cat(bad), 'EPERM');
  t.is(p.driver!.exitCode, null);
});

test('appliance that restarts within the time limit: waiting files are asked about again, none passes unseen', async (t) => {
  const p = new Place(t, { timeoutMs: 6000 });
  const bad = p.file('bad', MARKER);
  await p.start();
  p.signalAppliance('SIGKILL');
  await until(() => p.driverLog.includes('driver: connection: '), () => p.driverLog);
  const waiting = p.cat(bad);
  await new Promise((settle) => setTimeout(settle, 200));
  await p.startAppliance();
  t.is(await waiting, 'EPERM');
});

test('appliance that hangs: each policy decides at its time limit', async (t) => {
  for (const [failure, unknown, known] of [[1, 'hello', 'known'], [2, 'EPERM', 'known'], [3, 'EPERM', 'known']] as const) {
    const p = new Place(t, { failure, timeoutMs: 400 }, { kernelCache: false });
    const seen = p.file('seen', 'known');
    const other = p.file('other', 'hello');
    const bad = p.file('bad', MARKER);
    await aged();
    await p.start();
    t.is(await p.cat(seen), 'known');
    t.is(await p.cat(bad), 'EPERM');
    p.signalAppliance('SIGSTOP');
    const began = performance.now();
    t.is(await p.cat(other), unknown, `policy ${failure}`);
    t.true(performance.now() - began < 2500);
    t.is(await p.cat(seen), known);
    // Refused before, refused still: by memory.
    t.is(await p.cat(bad), 'EPERM');
    p.signalAppliance('SIGCONT');
    await until(async () => (await p.tell<number>({ do: 'sessions' })) === 1, () => p.driverLog);
    t.is(await p.cat(other), 'hello');
  }
});

test('driver killed: who waits goes on, and its successor protects again', async (t) => {
  const p = new Place(t, { timeoutMs: 20_000 });
  const bad = p.file('bad', MARKER);
  const slow = p.file('slow', 'hello');
  await p.start();
  const waiting = p.run('cat', slow);
  await new Promise((settle) => setTimeout(settle, 200));
  p.driver!.kill('SIGKILL');
  const { code, ms } = await waiting;
  t.is(code, 0);
  t.true(ms < 3000, `${ms} ms`);
  p.driverLog = '';
  p.startDriver();
  await p.ready();
  t.is(await p.cat(bad), 'EPERM');
});

test('more waiting than allowed: the policy answers the rest at once, nothing hangs', async (t) => {
  const p = new Place(t, { timeoutMs: 1500 }, { maxOutstanding: 4 });
  const paths = Array.from({ length: 40 }, (_, i) => p.file(`slow${i}`, 'hello'));
  await p.start();
  const began = performance.now();
  const results = await Promise.all(paths.map((path) => p.run('cat', path)));
  t.true(results.every((r) => r.code === 0 && r.out === 'hello'));
  t.true(performance.now() - began < 6000);
  await until(async () => (await p.tell<{ overflows: number }>({ do: 'stats' })).overflows > 0);
  const stats = await p.tell<{ events: number; allowed: number; denied: number; remembered: number; filtered: number; failed: number; timeouts: number; disconnected: number; overflows: number; outstanding: number }>({ do: 'stats' });
  t.is(stats.events, stats.allowed + stats.denied + stats.remembered + stats.filtered + stats.failed + stats.outstanding);
  t.is(stats.failed, stats.timeouts + stats.disconnected + stats.overflows);
});

test('filters: path, pattern, process, user, type and size are not asked about', async (t) => {
  const p = new Place(t, { maxSize: 1000 });
  mkdirSync(join(p.mount, 'out'));
  mkdirSync(join(p.mount, 'in'));
  const cases: [string, string, boolean, { kind: 1 | 2 | 3 | 4 | 5; value: string }[]][] = [
    ['out/x', MARKER, false, [{ kind: 1, value: join(p.mount, 'out') }]],
    ['outside', MARKER, true, [{ kind: 1, value: join(p.mount, 'out') }]],
    ['in/a.log', MARKER, false, [{ kind: 2, value: `${p.mount}/**/*.log` }]],
    ['in/a.txt', MARKER, true, [{ kind: 2, value: `${p.mount}/**/*.log` }]],
    ['in/p', MARKER, false, [{ kind: 3, value: '/usr/bin/cat' }]],
    ['in/q', MARKER, true, [{ kind: 3, value: '/usr/bin/dog' }]],
    ['in/u', MARKER, false, [{ kind: 4, value: '0' }]],
    ['in/v', MARKER, true, [{ kind: 4, value: '65534' }]],
    ['in/s', `#!/bin/sh\n${MARKER}`, true, [{ kind: 5, value: 'elf' }, { kind: 5, value: 'script' }]],
    ['in/t', MARKER, false, [{ kind: 5, value: 'elf' }, { kind: 5, value: 'script' }]],
    ['in/big', MARKER + 'x'.repeat(2000), false, []],
  ];
  await p.start();
  for (const [name, content, asked, filters] of cases) {
    const path = p.file(name, content);
    await p.tell({ do: 'policy', policy: { ...p.policy, filters } });
    t.is(await p.cat(path), asked ? 'EPERM' : content, name);
  }
});

test('new signatures: what the kernel remembered is asked about again', async (t) => {
  const p = new Place(t, {});
  const clean = p.file('clean', 'hello');
  await aged();
  await p.start();
  t.is(await p.cat(clean), 'hello');
  t.is(await p.cat(clean), 'hello');
  t.is((await p.events()).filter((line) => line.startsWith('event 1')).length, 1);
  await p.tell({ do: 'forget' });
  t.is(await p.cat(clean), 'hello');
  t.is((await p.events()).length, 1);
});

test('access events: each read is asked about where configured', async (t) => {
  const p = new Place(t, { events: ACCESS }, { kernelCache: false });
  const bad = p.file('bad', MARKER);
  await p.start();
  t.regex((await p.run('cat', bad)).out, /Operation not permitted/);
  t.true((await p.events()).some((line) => line.startsWith('event 3 ')));
});

test('by order of the appliance: list with hashes, read, remove, restore; its own accesses are not asked about', async (t) => {
  const p = new Place(t, {});
  const names = Array.from({ length: 700 }, (_, i) => `file-${i}`);
  for (const name of names) p.file(name, name);
  symlinkSync('file-1', join(p.mount, 'link'));
  mkdirSync(join(p.mount, 'folder'));
  await p.start();
  const found = await p.tell<[string, number, string][]>({ do: 'list', path: p.mount, hashUpTo: 1000 });
  t.deepEqual(found.map(([name]) => name).toSorted(), [...names, 'folder', 'link'].toSorted());
  const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
  for (const [name, mode, digest] of found) {
    if (name === 'link') t.is(mode & 0o170000, 0o120000);
    else if (name === 'folder') t.is(mode & 0o170000, 0o040000);
    else t.is(digest, sha(name));
  }
  await t.throwsAsync(p.tell({ do: 'list', path: join(p.mount, 'nothing'), hashUpTo: 0 }), { message: /ENOENT/ });
  t.deepEqual(await p.tell({ do: 'read', path: join(p.mount, 'file-7') }), ['file-7', sha('file-7')]);
  await t.throwsAsync(p.tell({ do: 'read', path: join(p.mount, 'link') }), { message: /ELOOP/ });
  await p.tell({ do: 'remove', path: join(p.mount, 'file-7') });
  t.false(existsSync(join(p.mount, 'file-7')));
  await p.tell({ do: 'restore', path: join(p.mount, 'file-7'), text: 'back' });
  const st = statSync(join(p.mount, 'file-7'));
  t.deepEqual([st.mode & 0o7777, st.uid, st.gid, Math.floor(st.mtimeMs)], [0o4750, 12, 34, 5000]);
  t.is(readFileSync(join(p.mount, 'file-7'), 'utf8'), 'back');
  await t.throwsAsync(p.tell({ do: 'restore', path: join(p.mount, 'file-7'), text: 'twice' }), { message: /EEXIST/ });
  t.deepEqual((await p.events()).filter((line) => /\/build\/drawbridge-driver fd/.test(line)), []);
  // Small enough for every guest, after all that work.
  const status = readFileSync(`/proc/${p.driver!.pid!}/status`, 'utf8');
  t.log(/VmHWM:.*/.exec(status)![0]);
  t.true(Number(/VmHWM:\s+(\d+)/.exec(status)![1]) < 3 * 1024, status);
});

test('log files: appended lines, rotation, a file that does not exist yet', async (t) => {
  const p = new Place(t, { events: CLOSE_WRITE });
  const log = join(p.mount, 'log');
  await p.start();
  const followed = p.tell<string>({ do: 'follow', path: log, bytes: 19 });
  await new Promise((settle) => setTimeout(settle, 300));
  writeFileSync(log, 'one\n');
  await new Promise((settle) => setTimeout(settle, 500));
  appendFileSync(log, 'two\n');
  renameSync(log, `${log}.1`);
  await new Promise((settle) => setTimeout(settle, 500));
  writeFileSync(log, 'three\n');
  await new Promise((settle) => setTimeout(settle, 500));
  writeFileSync(log, 'cut\n');
  t.is(await followed, 'one\ntwo\n|three\n|cut\n');
});

test('a container\'s root: reached through another mount in another namespace, told by its path here', async (t) => {
  const p = new Place(t, {});
  for (const dir of ['lower', 'upper', 'work', 'merged']) mkdirSync(join(p.mount, dir));
  p.file('lower/bad', MARKER);
  p.file('lower/good', 'hello');
  const merged = join(p.mount, 'merged');
  execFileSync('mount', ['-t', 'overlay', 'drawbridge-test', '-o', `lowerdir=${p.mount}/lower,upperdir=${p.mount}/upper,workdir=${p.mount}/work`, merged]);
  t.teardown(() => void spawnSync('umount', ['-l', merged]));
  await aged();
  await p.start();
  await p.tell({ do: 'policy', policy: { ...p.policy, mounts: [{ ...p.policy.mounts[0]!, path: merged }] } });
  await until(() => p.driverLog.includes(`${merged}: watched`), () => p.driverLog);
  // What a container sees: a mount of its own, made after the mark.
  const inside = (file: string) => p.run('unshare', '--mount', 'sh', '-c', `mount --bind ${merged} ${p.mount}/lower && cat ${p.mount}/lower/${file}`);
  t.is((await inside('good')).out, 'hello');
  t.regex((await inside('bad')).out, /Operation not permitted/);
  t.true((await p.events()).some((line) => line.startsWith(`event 1 ${merged}/bad `) || line.startsWith(`event 1 ${p.mount}/lower/bad `)));
});

test('a directory that is no mount point: only what is below it', async (t) => {
  const p = new Place(t, {});
  mkdirSync(join(p.mount, 'in'));
  const inside = p.file('in/bad', MARKER);
  const outside = p.file('bad', MARKER);
  const beside = p.file('index', MARKER);
  await p.start();
  await p.tell({ do: 'policy', policy: { ...p.policy, mounts: [{ ...p.policy.mounts[0]!, path: join(p.mount, 'in'), events: OPEN | CHANGES }] } });
  await until(() => p.driverLog.includes('this directory of it'), () => p.driverLog);
  t.is(await p.cat(inside), 'EPERM');
  t.is(await p.cat(outside), MARKER);
  t.is(await p.cat(beside), MARKER);
  await p.run('touch', join(p.mount, 'not-told'), join(p.mount, 'in/told'));
  const log: string[] = [];
  await until(async () => log.push(...(await p.tell<string[]>({ do: 'log' }))) > 0 && log.some((line) => line.includes('/in/told')));
  t.false(log.some((line) => line.includes('not-told') && line.startsWith('change')));
});

test('changed directory entries are told, with who did it', async (t) => {
  const p = new Place(t, { events: CHANGES });
  await p.start();
  await p.run('sh', '-c', `cd ${p.mount} && echo x > a && mv a b && chmod 600 b && mkdir d && rm b`);
  const wanted = ['1 a', '3 a', '4 b', '5 b', '1 d', '2 b'];
  const seen: string[] = [];
  await until(async () => {
    for (const line of await p.tell<string[]>({ do: 'log' })) {
      const m = /^change (\d) (\S+) (\S*)$/.exec(line);
      if (m !== null) seen.push(`${m[1]!} ${m[2]!.replace(`${p.mount}/`, '')}`);
    }
    return wanted.every((w) => seen.includes(w));
  }, () => seen.join('; '));
  t.deepEqual(wanted.filter((w) => !seen.includes(w)), []);
});

test('an impostor that listens in the appliance\'s place decides nothing', async (t) => {
  const p = new Place(t, { failure: 2 });
  const file = p.file('file', 'hello');
  await p.startAppliance('another secret');
  p.startDriver();
  await until(() => p.driverLog.includes('refused by the appliance') || p.driverLog.includes('not the appliance'), () => p.driverLog);
  t.false(p.driverLog.includes('watched'));
  t.is(await p.cat(file), 'hello');
});

test('it cannot start programs, and keeps few capabilities', async (t) => {
  const p = new Place(t, {});
  await p.start();
  const status = readFileSync(`/proc/${p.driver!.pid!}/status`, 'utf8');
  t.regex(status, /NoNewPrivs:\s+1/);
  t.regex(status, /Seccomp:\s+2/);
  const held = BigInt(`0x${/CapPrm:\s+([0-9a-f]+)/.exec(status)![1]!}`);
  const bit = (n: number): bigint => (held >> BigInt(n)) & 1n;
  // net_admin, sys_module, sys_rawio, sys_boot, setuid, kill
  t.deepEqual([12, 16, 17, 22, 7, 5].map(bit), [0n, 0n, 0n, 0n, 0n, 0n]);
});
