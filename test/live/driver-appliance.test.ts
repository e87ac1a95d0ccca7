/** The whole way: `drawbridge run` with shipped rules, the real driver, processes that open files; and kill -9 in a storm. Needs root. */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import anyTest, { type ExecutionContext } from 'ava';
import { EICAR } from '../helpers/clamd.js';
import { Drawbridge, drawbridge, folder, parseMetrics, total } from '../helpers/drawbridge.js';

const DRIVER = fileURLToPath(new URL('../../../guest/build/drawbridge-driver', import.meta.url));
const why = process.getuid?.() !== 0 ? 'not root' : existsSync('/dev/net/tun') ? '' : 'no /dev/net/tun';
if (why !== '') process.stdout.write(`driver tests with the appliance skipped: ${why}\n`);
const test = why === '' ? anyTest.serial : anyTest.serial.skip;

const config = (mount: string, more: string): string => `
ports: [{ name: guest0, type: tap, device: dbfe${process.pid % 10_000}, vm: guest }]
files: { enabled: true, on_malicious: deny, on_failed: deny }
drivers: { unix: drivers.sock, heartbeat_ms: 500 }
control: { socket: control.sock }
metrics: { listen: "127.0.0.1:0" }
vms:
  guest:
    driver: { token_file: token, mounts: [{ path: ${mount}, failure: deny, timeout_ms: 1500 }]${more} }
`;

interface Rig {
  readonly dir: string;
  readonly mount: string;
  readonly file: string;
  run: Drawbridge;
  readonly driver: ChildProcess;
  driverLog: string;
}

async function rig(t: ExecutionContext): Promise<Rig> {
  const dir = folder(t, {});
  const mount = join(dir, 'mnt');
  mkdirSync(mount);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'drawbridge-test', mount]);
  t.teardown(() => void spawnSync('umount', ['-l', mount]));
  const file = join(dir, 'drawbridge.yaml');
  writeFileSync(file, config(mount, ''));
  t.is((await drawbridge('driver', 'token', join(dir, 'token'))).code, 0);
  t.is(statSync(join(dir, 'token')).mode & 0o777, 0o600);
  const run = new Drawbridge(['run', '-c', file]);
  await run.ready();
  const driver = spawn(DRIVER, ['--connect', `unix:${join(dir, 'drivers.sock')}`, '--vm', 'guest', '--token-file', join(dir, 'token')], { stdio: ['ignore', 'ignore', 'pipe'] });
  const made: Rig = { dir, mount, file, run, driver, driverLog: '' };
  driver.stderr.on('data', (text: Buffer) => (made.driverLog += text.toString()));
  t.teardown(() => {
    driver.kill('SIGKILL');
    made.run.child.kill('SIGKILL');
  });
  await until(() => made.driverLog.includes('watched'), () => made.driverLog);
  return made;
}

async function until(what: () => boolean | Promise<boolean>, say: () => string = () => ''): Promise<void> {
  const limit = Date.now() + 20_000;
  while (!(await what())) {
    if (Date.now() > limit) throw new Error(`it did not happen; ${say()}`);
    await sleep(30);
  }
}

function cat(path: string): Promise<number> {
  const child = spawn('timeout', ['-s', 'KILL', '10', 'cat', path], { stdio: 'ignore' });
  return new Promise((settle) => child.on('close', (code) => settle(code ?? 137)));
}

test('a malicious file is refused and reported, others pass; status, metrics, test and reload', async (t) => {
  const r = await rig(t);
  const bad = join(r.mount, 'bad');
  const good = join(r.mount, 'good');
  writeFileSync(bad, EICAR);
  writeFileSync(good, 'hello');
  t.is(await cat(bad), 1);
  t.is(await cat(good), 0);
  const events = (): Record<string, unknown>[] => readFileSync(join(r.dir, 'eve.json'), 'utf8').trim().split('\n').map((l) => JSON.parse(l) as Record<string, unknown>);
  // Either its writing was judged first, and the driver knew it when it was opened; or its opening was.
  const found = (e: Record<string, unknown>): boolean => e['event_type'] === 'anti_malware';
  await until(() => existsSync(join(r.dir, 'eve.json')) && events().some(found));
  const finding = events().find(found)!;
  t.like(finding, { vm: 'guest', fileinfo: { filename: bad, size: EICAR.length }, anti_malware: { outcome: 'malicious' } });
  const status = await drawbridge('driver', 'status', '-c', r.file);
  t.regex(status.stdout, /^guest: connected \(unix pid \d+ uid 0, /);
  const asked = await drawbridge('driver', 'test', 'guest', '-c', r.file);
  t.regex(asked.stdout, /both ends know the token[\s\S]*after 1500 ms deny/);
  t.regex((await drawbridge('driver', 'status', '-c', r.file)).stdout, /^guest: connected/, 'the test does not replace the driver');
  writeFileSync(join(r.dir, 'other'), 'not the token of that VM\n');
  const wrong = await drawbridge('driver', 'test', 'guest', '-c', r.file, '--token-file', join(r.dir, 'other'));
  t.is(wrong.code, 1);
  t.regex(wrong.stderr, /refused \(proof\)/);
  const samples = parseMetrics(await (await fetch(r.run.metricsUrl)).text());
  t.true(total(samples, 'drawbridge_driver_dispositions_total', { verdict: 'deny' }) >= 1);
  t.true(total(samples, 'drawbridge_driver_wait_seconds_count') >= 2);
  // A changed exclusion reaches the driver by reload.
  writeFileSync(r.file, config(r.mount, `, exclude: { paths: [${bad}] }`));
  const reload = await drawbridge('reload', '-c', r.file);
  t.is(reload.code, 0, reload.stderr);
  await until(async () => (await cat(bad)) === 0);
});

test('kill -9 of the appliance in a storm: no bad file is ever read, nobody hangs, and all is well again afterwards', async (t) => {
  const r = await rig(t);
  const names: string[] = [];
  for (let i = 0; i < 80; i++) {
    const name = `${i % 4 === 0 ? 'bad' : 'good'}${i}`;
    names.push(name);
    writeFileSync(join(r.mount, name), i % 4 === 0 ? Buffer.concat([EICAR, Buffer.from('\n'.repeat(i % 3))]) : `content ${i}`);
  }
  const script = `for f in ${names.join(' ')}; do s=$(date +%s%N); timeout -s KILL 10 cat ${r.mount}/$f >/dev/null 2>&1; echo "$f $? $(( ($(date +%s%N) - s) / 1000000 ))"; done`;
  const lines: string[] = [];
  const storm = async (): Promise<void> => {
    const shells = Array.from({ length: 4 }, () => spawn('bash', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] }));
    await Promise.all(
      shells.map(async (shell) => {
        let text = '';
        shell.stdout.on('data', (part: Buffer) => (text += part.toString()));
        await new Promise((settle) => shell.on('close', settle));
        lines.push(...text.trim().split('\n'));
      }),
    );
  };
  const first = storm();
  await sleep(400);
  r.run.child.kill('SIGKILL');
  await sleep(300);
  r.run = new Drawbridge(['run', '-c', r.file]);
  await first;
  await r.run.ready();
  await until(() => r.run.stderr.includes('driver of guest connected'), () => r.driverLog);
  const during = lines.splice(0);
  await storm();
  const parsed = (list: readonly string[]): [string, number, number][] => list.map((l) => l.split(' ')).map(([name, code, ms]) => [name!, Number(code), Number(ms)]);
  t.is(during.length, 320);
  t.deepEqual(parsed(during).filter(([name, code]) => name.startsWith('bad') && code === 0), [], 'a bad file was read');
  t.deepEqual(parsed(during).filter(([, code]) => code !== 0 && code !== 1), [], 'a process hung');
  t.deepEqual(parsed(during).filter(([, , ms]) => ms > 6000), [], 'a process waited far beyond its limit');
  // Some were refused meanwhile (failure: deny), none when the appliance was back.
  t.deepEqual(parsed(lines).filter(([name, code]) => code !== (name.startsWith('bad') ? 1 : 0)), []);
  t.is(r.driver.exitCode, null);
});
