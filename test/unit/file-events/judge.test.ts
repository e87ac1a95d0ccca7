import test from 'ava';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FileEvent } from '../../../src/file-events/index.js';
import { VerdictCache } from '../../../src/file-events/cache/verdict-cache.js';
import { ContentSpool, contentOf, type ScanContent } from '../../../src/file-events/engines/content.js';
import { EngineSet } from '../../../src/file-events/engines/engine-set.js';
import { CLEAN, failed, malicious, notFullyScanned, type Engine, type ScanResult } from '../../../src/file-events/engines/engine.js';
import type { Finding } from '../../../src/file-events/judge/finding.js';
import { FileJudge } from '../../../src/file-events/judge/judge.js';
import type { FilePolicy } from '../../../src/file-events/judge/policy.js';
import { restore } from '../../../src/file-events/judge/remedy.js';
import { QuarantineStore } from '../../../src/file-events/quarantine/store.js';
import { ScanQueue } from '../../../src/file-events/queue/scan-queue.js';
import { FileScanner } from '../../../src/file-events/scan/file-scanner.js';
import { FakeVm } from '../../helpers/fake-driver.js';

const directory = mkdtempSync(join(tmpdir(), 'drawbridge-judge-'));
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

/** Finds what the test says, after a pause, and remembers what it was shown. */
class WordEngine implements Engine {
  readonly name = 'word';
  epoch = '1';
  readonly seen: string[] = [];
  bad = ['EVIL'];

  async start(): Promise<void> {
    // Nothing to open.
  }

  async scan(content: ScanContent): Promise<ScanResult> {
    const text = content.bytes!.toString('latin1');
    this.seen.push(text);
    await sleep(5);
    if (text.includes('BROKEN')) return failed(this.name, 'unavailable');
    if (text.includes('LOCKED')) return notFullyScanned(this.name, 'encrypted: Zip');
    return this.bad.some((word) => text.includes(word)) ? malicious(this.name, 'Evil') : CLEAN;
  }

  async refresh(): Promise<boolean> {
    return false;
  }

  async close(): Promise<void> {
    // Nothing is open.
  }
}

let stores = 0;
async function setup(policy: Partial<FilePolicy> = {}, concurrency = 2) {
  const engine = new WordEngine();
  const now = (): number => performance.now();
  const engines = new EngineSet([engine], 5000, now);
  await engines.start();
  const cache = new VerdictCache(1000);
  const queue = new ScanQueue({ concurrency, background: 1, maxWaiting: 1000, maxWaitingPerVm: 500 }, now);
  const spool = new ContentSpool(directory, 64 * 1024 * 1024);
  const scanner = new FileScanner({ cache, engines, queue, spool, maxFileSize: 1024 * 1024, scans: 2, now });
  const store = new QuarantineStore(join(directory, `store${stores++}`), 1024 * 1024, 512 * 1024);
  const findings: Finding[] = [];
  const judge = new FileJudge({
    cache, engines, scanner, store, now, wall: Date.now, seed: [11, 22], maxIdentities: 8192,
    policy: () => ({ on_malicious: 'deny', on_not_fully_scanned: 'allow', on_failed: 'deny', ...policy }),
    report: (f) => findings.push(f),
  });
  const vm = (name: string): FakeVm => {
    const v = new FakeVm(name);
    judge.connected(v);
    return v;
  };
  return { engine, engines, cache, queue, scanner, store, judge, findings, vm, spool };
}

test('a content is scanned once for all VMs; the second look at a file is answered at once', async (t) => {
  const { judge, vm, engine, scanner, spool } = await setup();
  const vms = Array.from({ length: 20 }, (_, i) => vm(`vm${i}`));
  for (const v of vms) for (let f = 0; f < 10; f++) v.write(`/usr/bin/tool${f}`, `content of tool ${f}`);
  const first = await Promise.all(vms.flatMap((v) => [...v.files.keys()].map((path) => judge.judge(v.event(path)))));
  t.true(first.every((d) => d.verdict === 1 && d.remember));
  t.is(engine.seen.length, 10);
  t.is(scanner.counts.scanned, 10);
  t.is(vms.reduce((sum, v) => sum + v.bytesRead, 0), 10 * 'content of tool 0'.length, 'content travels once');
  t.is(spool.held, 0);
  for (const v of vms) {
    const again = judge.judge(v.event('/usr/bin/tool3'));
    t.false(again instanceof Promise);
  }
  t.is(judge.counts.byIdentity, 20);
});

test('identities hold within a session only: after a reconnect (a snapshot revert looks like one) the content is asked for', async (t) => {
  const { judge, vm, findings } = await setup();
  const v = vm('web');
  const file = v.write('/bin/tool', 'good one');
  t.is((await judge.judge(v.event('/bin/tool'))).verdict, 1);
  judge.disconnected(v);
  const reverted = vm('web');
  reverted.files.set('/bin/tool', { bytes: Buffer.from('EVIL one'), meta: file.meta });
  t.is((await judge.judge(reverted.event('/bin/tool'))).verdict, 2);
  t.is(findings.length, 1);
});

test('a file that was changed a moment ago is hashed again: its times may not tell the next change', async (t) => {
  const { judge, vm } = await setup();
  const v = vm('web');
  const file = v.write('/tmp/new', 'good now', 0);
  t.is((await judge.judge(v.event('/tmp/new'))).verdict, 1);
  file.bytes = Buffer.from('EVIL now');
  t.is((await judge.judge(v.event('/tmp/new'))).verdict, 2);
});

test('a guest that lies about hashes fools only itself, and poisons nothing', async (t) => {
  const { judge, vm, cache, engines } = await setup();
  const honest = vm('honest');
  const liar = vm('liar');
  honest.write('/a', 'EVIL content');
  liar.write('/clean', 'harmless');
  const evil = contentOf(Buffer.from('EVIL content')).sha256;
  liar.lie = () => Buffer.from(evil, 'hex');
  const [lied, told] = await Promise.all([judge.judge(liar.event('/clean')), judge.judge(honest.event('/a'))]);
  t.is(lied.verdict, 1);
  t.is(told.verdict, 2, 'joined the scan of the liar, then looked for itself');
  t.is(cache.get(evil, engines.epoch)?.result.outcome, 'malicious');
  t.is(cache.get(contentOf(Buffer.from('harmless')).sha256, engines.epoch)?.result.outcome, 'clean');
});

test('outcomes and policy: not fully scanned and failed are never clean, and failures are not remembered', async (t) => {
  const { judge, vm, findings, engine } = await setup({ on_not_fully_scanned: 'deny', on_failed: 'allow' });
  const v = vm('web');
  v.write('/locked', 'LOCKED archive');
  v.write('/broken', 'BROKEN engine');
  v.write('/huge', Buffer.alloc(1024 * 1024 + 1));
  t.like(await judge.judge(v.event('/locked')), { verdict: 2, reason: 'not-fully-scanned', remember: true });
  t.like(await judge.judge(v.event('/broken')), { verdict: 1, reason: 'failed', remember: false });
  t.like(await judge.judge(v.event('/broken')), { verdict: 1, reason: 'failed', remember: false });
  t.is(engine.seen.filter((s) => s.includes('BROKEN')).length, 2);
  t.like(await judge.judge(v.event('/huge')), { verdict: 2, reason: 'not-fully-scanned' });
  t.like(findings.find((f) => f.path === '/huge')!, { action: 'denied', result: { reason: 'limit: larger than 1048576 bytes' } });
  t.like(findings.find((f) => f.path === '/broken')!, { action: 'allowed' });
  v.write('/gone', 'x');
  const event = v.event('/gone');
  v.files.delete('/gone');
  t.like(await judge.judge(event), { reason: 'failed' });
});

test('repeated attempts at one file are one event with a count', async (t) => {
  const { judge, vm, findings } = await setup();
  const v = vm('web');
  v.write('/bad', 'EVIL');
  for (let i = 0; i < 50; i++) t.is((await judge.judge(v.event('/bad'))).verdict, 2);
  t.is(findings.length, 1);
  t.like(findings[0]!, { vm: 'web', path: '/bad', trigger: 'open', action: 'denied', vms: ['web'], process: { image: '/bin/cat' } });
});

test('quarantine: kept encrypted, removed from the VM, restored byte for byte with its metadata', async (t) => {
  const { judge, vm, findings, store } = await setup({ on_malicious: 'quarantine' });
  const v = vm('web');
  v.write('/srv/bad', 'EVIL thing');
  t.is((await judge.judge(v.event('/srv/bad'))).verdict, 2);
  await sleep(50);
  t.false(v.files.has('/srv/bad'));
  t.is(findings.length, 1);
  t.like(findings[0]!, { action: 'quarantined', remedyError: '' });
  const [entry] = store.list();
  t.like(entry!, { vm: 'web', path: '/srv/bad', signature: 'Evil', size: 10, uid: 1000 });
  t.is(findings[0]!.quarantine, entry!.id);
  await restore(v, store, entry!.id);
  t.is(v.files.get('/srv/bad')?.bytes.toString(), 'EVIL thing');
  t.deepEqual(store.list(), []);
  t.is((await judge.judge(v.event('/srv/bad'))).verdict, 2, 'it is still malicious');
});

test('what cannot be kept is not removed', async (t) => {
  const { judge, vm, findings, store } = await setup({ on_malicious: 'quarantine' });
  const v = vm('web');
  v.write('/big', Buffer.concat([Buffer.from('EVIL'), Buffer.alloc(600 * 1024)]));
  t.is((await judge.judge(v.event('/big'))).verdict, 2);
  await sleep(50);
  t.true(v.files.has('/big'));
  t.regex(findings[0]!.remedyError, /^too-large/);
  t.is(findings[0]!.action, 'denied');
  t.is(store.bytes, 0);
});

test('delete only removes what was judged', async (t) => {
  const { judge, vm, findings } = await setup({ on_malicious: 'delete' });
  const v = vm('web');
  v.write('/bad', 'EVIL');
  const other = v.write('/swapped', 'EVIL 2');
  const open = v.openFile.bind(v);
  v.openFile = async (path) => {
    if (path === '/swapped') other.bytes = Buffer.from('letter');
    return open(path);
  };
  await judge.judge(v.event('/bad'));
  await judge.judge(v.event('/swapped'));
  await sleep(50);
  t.false(v.files.has('/bad'));
  t.true(v.files.has('/swapped'));
  t.regex(findings.find((f) => f.path === '/swapped')!.remedyError, /changed/);
});

test('descriptors of this host: one scan for all VMs, by what the kernel says about the file', async (t) => {
  const { judge, vm, engine } = await setup();
  const path = join(directory, 'shared');
  writeFileSync(path, 'shared content');
  utimesSync(path, 1000, 1000);
  const [a, b] = [vm('a'), vm('b')];
  const event = (v: FakeVm): FileEvent => {
    v.write('/shared', 'shared content');
    const fd = openSync(path, 'r');
    t.teardown(() => closeSync(fd));
    return v.event('/shared', { content: { size: statSync(path).size, fd, read: async (o, n) => readFileSync(path).subarray(o, o + n), sha256: () => t.fail() as never } });
  };
  await sleep(1100);
  t.is((await judge.judge(event(a))).verdict, 1);
  t.is((await judge.judge(event(b))).verdict, 1);
  t.is(engine.seen.length, 1);
  t.is(judge.counts.byHostIdentity, 1);
  t.is(judge.hostIdentities, 1);
});

test('the store: restart, alteration, half-written files, bounds', async (t) => {
  const place = join(directory, 'bounds');
  const store = new QuarantineStore(place, 1000, 600);
  const bytes = Buffer.alloc(500, 'q');
  const meta = { vm: 'v', path: '/p', size: 500, sha256: contentOf(bytes).sha256, signature: 'S', engine: 'e', mode: 0o100755, uid: 0, gid: 0, mtimeNs: '1', quarantined: '2026-01-01T00:00:00.000Z' };
  const chunks = async function* (b: Buffer) {
    yield b.subarray(0, 100);
    yield b.subarray(100);
  };
  const kept = await store.put(meta, chunks(bytes));
  t.false(readFileSync(join(place, `${kept.id}.q`)).includes('qqqq'), 'encrypted');
  await t.throwsAsync(store.put({ ...meta, size: 601 }, chunks(bytes)), { message: /too-large/ });
  await t.throwsAsync(store.put({ ...meta, size: 501 }, chunks(bytes)), { message: /store-full/ });
  await t.throwsAsync(store.put({ ...meta, size: 499 }, chunks(bytes)), { message: /changed/ });
  t.is(store.bytes, 500);
  writeFileSync(join(place, '20260101-0123456789abcdef.q.new'), 'half');
  writeFileSync(join(place, '20260101-0123456789abcdef.q'), 'not one');
  const again = new QuarantineStore(place, 1000, 600);
  t.deepEqual(again.list(), [kept]);
  t.is(again.damaged.length, 1);
  const file = join(place, `${kept.id}.q`);
  const raw = readFileSync(file);
  raw[raw.length - 20]! ^= 1;
  writeFileSync(file, raw);
  await t.throwsAsync(async () => {
    for await (const _ of again.content(kept.id));
  }, { message: /altered/ });
  t.true(again.remove(kept.id));
  t.false(again.remove(kept.id));
  t.is(again.bytes, 0);
});
