import test from 'ava';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import { LogEngine, type LogRuleFile } from '../../../src/file-events/log-inspection/engine.js';
import { LogWatcher, type LogFinding, type WatcherParts } from '../../../src/file-events/log-inspection/watcher.js';
import type { LogChunk } from '../../../src/file-events/index.js';
import { CHECKOUT } from '../../helpers/conformance.js';
import { FakeVm } from '../../helpers/fake-driver.js';

const shipped = readdirSync(join(CHECKOUT, 'rules/logs')).map((f) => parse(readFileSync(join(CHECKOUT, 'rules/logs', f), 'utf8')) as LogRuleFile);

const H = 'Nov 23 17:14:12 web1';
const LINES: [string, number, Record<string, string>?][] = [
  [`${H} sshd[812]: Failed password for root from 192.0.2.7 port 4711 ssh2`, 100001, { user: 'root', srcip: '192.0.2.7', method: 'password' }],
  [`${H} sshd[812]: Failed password for invalid user admin from 2001:db8::1 port 4711 ssh2`, 100001, { user: 'admin', srcip: '2001:db8::1' }],
  [`2026-11-23T17:14:12.123456+00:00 web1 sshd[812]: Invalid user oracle from 192.0.2.7 port 50022`, 100002, { user: 'oracle' }],
  [`<86>1 2026-11-23T17:14:12Z web1 sshd 812 - - Accepted publickey for alice from 192.0.2.9 port 5022 ssh2`, 100005, { user: 'alice' }],
  [`${H} sshd[812]: Accepted password for root from 192.0.2.9 port 5022 ssh2`, 100006],
  [`${H} sudo:    alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/apt update`, 100101, { command: '/usr/bin/apt update' }],
  [`${H} sudo:    alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/bin/bash`, 100103],
  [`${H} sudo:  mallory : user NOT in sudoers ; TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/ls`, 100102, { user: 'mallory' }],
  [`192.0.2.66 - - [23/Nov/2026:17:14:12 +0000] "GET /../../etc/passwd HTTP/1.1" 400 150 "-" "curl/8"`, 100204, { srcip: '192.0.2.66' }],
  [`192.0.2.66 - - [23/Nov/2026:17:14:12 +0000] "GET /nothing HTTP/1.1" 404 150 "-" "curl/8"`, 100201],
  [`2026/11/23 17:14:12 [crit] 12#12: *9 open() "/x" failed (13: Permission denied), client: 192.0.2.6, server: a, request: "GET / HTTP/1.1"`, 100206, { srcip: '192.0.2.6' }],
  [`${H} systemd[1]: nginx.service: Failed with result 'exit-code'.`, 100301, { unit: 'nginx.service' }],
  [`${H} kernel: [ 12.3] Out of memory: Killed process 99 (java)`, 100304],
];

test('shipped rules: each line finds its rule and fields', (t) => {
  for (const [line, id, fields] of LINES) {
    const found = new LogEngine(shipped).inspect('web1', line, 0);
    t.is(found?.rule.id, id, line);
    if (fields !== undefined) t.like(found!.decoded.fields, fields, line);
  }
});

test('quiet: ordinary lines, level 0, nonsense', (t) => {
  const engine = new LogEngine(shipped);
  for (const line of ['', 'hello', `${H} sshd[1]: Server listening on 0.0.0.0 port 22.`, `${H} cron[1]: job`, '192.0.2.1 - - [x] "GET / HTTP/1.1" 200 5 "-" "-"', `${H} systemd[1]: Started nginx.service.`, 'x'.repeat(100_000)]) t.is(engine.inspect('web1', line, 0), null, line.slice(0, 60));
  t.is(engine.counts.matched, 0);
});

test('frequency: so many within the time, same address, same VM; then it counts anew', (t) => {
  const engine = new LogEngine(shipped);
  const fail = (vm: string, ip: string, s: number) => engine.inspect(vm, `${H} sshd[8]: Failed password for root from ${ip} port 4711 ssh2`, s * 1000)?.rule.id;
  for (let i = 0; i < 5; i++) {
    t.is(fail('a', '192.0.2.1', i), 100001);
    t.is(fail('a', '192.0.2.2', i * 60), 100001, 'too slow');
    t.is(fail('b', '192.0.2.1', i), 100001, 'another VM');
  }
  t.is(fail('a', '192.0.2.1', 6), 100003);
  t.is(fail('a', '192.0.2.1', 7), 100001);
});

test('rules that contradict themselves are refused with their number', (t) => {
  const base = { level: 5, description: 'd' };
  const table: [LogRuleFile, RegExp][] = [
    [{ rules: [{ id: 1, ...base, level: 16 }] }, /rule 1: level/],
    [{ rules: [{ id: 1, ...base, regex: '(' }] }, /rule 1: Invalid regular expression/],
    [{ rules: [{ id: 1, ...base }, { id: 1, ...base }] }, /rule 1 is there twice/],
    [{ rules: [{ id: 1, ...base, if_sid: 9 }] }, /rule 1: there is no rule 9/],
    [{ rules: [{ id: 1, ...base, frequency: 3 }] }, /rule 1: frequency needs/],
    [{ rules: [{ id: 1, ...base, if_sid: 2 }, { id: 2, ...base, if_sid: 1 }] }, /depends on itself/],
    [{ decoders: [{ name: 'x', program: 'p', regex: '[' }] }, /decoder x: Invalid/],
  ];
  for (const [file, message] of table) t.throws(() => new LogEngine([file]), { message });
});

const FAILED = `${H} sshd[8]: Failed password for root from 192.0.2.1 port 4711 ssh2\n`;

function watcher(more: Partial<WatcherParts>) {
  const findings: LogFinding[] = [];
  const w = new LogWatcher({
    engine: new LogEngine(shipped), sources: [{ path: '/var/log/auth.log' }], minLevel: 5, roots: new Map(), report: (f) => findings.push(f), log: (text) => told.push(text), wall: () => 0,
    sleep: async () => void (await sleep(5)), ...more,
  });
  return { w, findings };
}
const told: string[] = [];

test('a log below a root directory: from its end, across pieces of lines, rotation and creation', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'drawbridge-logs-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, 'var/log'), { recursive: true });
  const file = join(root, 'var/log/auth.log');
  writeFileSync(file, FAILED);
  const { w, findings } = watcher({ roots: new Map([['web', root], ['other', root]]), sources: [{ path: '/var/log/auth.log', vms: ['web'] }, { path: '/var/log/later', vms: ['web'] }] });
  await w.poll();
  t.is(findings.length, 0, 'what was there before is old');
  appendFileSync(file, FAILED.slice(0, 30));
  await w.poll();
  t.is(findings.length, 0);
  appendFileSync(file, FAILED.slice(30));
  await w.poll();
  t.like(findings[0]!, { vm: 'web', path: '/var/log/auth.log', match: { rule: { id: 100001 } } });
  renameSync(file, `${file}.1`);
  writeFileSync(file, FAILED);
  writeFileSync(join(root, 'var/log/later'), FAILED);
  await w.poll();
  t.is(findings.length, 3);
  w.close();
  appendFileSync(file, FAILED);
  await w.poll();
  t.is(findings.length, 3);
});

test('a log through the driver: chunks, rotation, an error and a new try', async (t) => {
  const vm = new FakeVm('web');
  let tries = 0;
  const part = (text: string, rotated = false): LogChunk => ({ offset: 0, rotated, identity: '', bytes: Buffer.from(text) });
  vm.follow = async function* (path: string, offset: number) {
    t.is(path, '/var/log/auth.log');
    t.is(offset, -1);
    if (tries++ === 0) throw new Error('ENOENT');
    yield part(FAILED + FAILED.slice(0, 10));
    yield part(FAILED, true);
    await sleep(20);
    vm.open = false;
  };
  const { w, findings } = watcher({});
  w.connected(vm);
  for (let i = 0; i < 400 && vm.open; i++) await sleep(5);
  t.is(findings.length, 2, 'the cut line before the rotation is not glued to the next one');
  t.true(told.some((l) => l.includes('/var/log/auth.log of web: ENOENT')));
  w.close();
});
