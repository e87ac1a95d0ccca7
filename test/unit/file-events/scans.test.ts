import test from 'ava';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConfig } from '../../../src/appliance/config/load.js';
import { FileService, partitionsOf, type FileServiceOptions, type Finding, type ScanRecord } from '../../../src/file-events/index.js';
import { LocalTree } from '../../../src/file-events/scan/local-tree.js';
import { comparePaths, walk, type FileTree } from '../../../src/file-events/scan/tree.js';
import { FakeVm } from '../../helpers/fake-driver.js';

const directory = mkdtempSync(join(tmpdir(), 'drawbridge-scans-'));
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

let made = 0;
function place(): string {
  const path = join(directory, `p${made++}`);
  mkdirSync(path);
  return path;
}

async function collect(tree: FileTree, after = '', everything = false): Promise<string[]> {
  const found: string[] = [];
  for await (const { path } of walk(tree, { paths: ['/'], exclude: ['/skip'], after, unreadable: (p) => found.push(`!${p}`), everything })) found.push(path);
  return found;
}

test('a walk goes by name, skips what is excluded, follows no link, and goes on anywhere', async (t) => {
  const root = place();
  for (const d of ['a', 'a/z', 'a-b', 'skip', 'c']) mkdirSync(join(root, d));
  for (const f of ['a/1', 'a/z/2', 'a-b/3', 'skip/4', 'c/5', 'top']) writeFileSync(join(root, f), f);
  symlinkSync('/etc', join(root, 'a', 'link'));
  symlinkSync('/etc/passwd', join(root, 'passwd'));
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0x41])]), 'no text');
  const tree = new LocalTree(root);
  const all = await collect(tree);
  t.deepEqual(all, ['/a/1', '/a/z/2', '/a-b/3', '/c/5', '/top', '/\udcffA']);
  t.deepEqual(all, all.toSorted(comparePaths));
  for (let i = 0; i < all.length; i++) t.deepEqual(await collect(tree, all[i]), all.slice(i + 1), `behind ${all[i]}`);
  const odd = await tree.open('/\udcffA');
  t.is(Buffer.from(await odd.read(0, 100)).toString(), 'no text');
  await odd.close();
  t.true((await collect(tree, '', true)).includes('/a/link'));
  await t.throwsAsync(tree.open('/passwd'), { code: 'ELOOP' });
  await t.throwsAsync(tree.open('/a/link/passwd'), { code: 'ENOTDIR' });
  await t.throwsAsync(tree.open('/a/../../etc/passwd'), { code: 'EINVAL' });
  await t.throwsAsync(tree.open('/a'), { code: 'EINVAL' });
  await tree.close();
});

interface Stand {
  service: FileService;
  findings: Finding[];
  scans: ScanRecord[];
}

const RULE = 'rule Evil { strings: $a = "EVIL" condition: $a }';

function stand(state: string, rules: string, more: { config?: string; vms?: FileServiceOptions['vms'] } = {}): Stand {
  const { config, problems } = parseConfig('t.yaml', `ports: [{ name: n, type: tap, device: n }]\nfiles: { state: ${state}, engines: [{ type: yara-x, rules: [${rules}] }], concurrency: 2, on_malicious: deny${more.config ?? ''} }\n`);
  if (config === undefined) throw new Error(JSON.stringify(problems));
  const findings: Finding[] = [];
  const scans: ScanRecord[] = [];
  const service = new FileService({
    config: config.files, vms: more.vms ?? { web: {} }, resolve: (p) => p, defaultEngines: [], onFinding: (f) => findings.push(f), onScan: (r) => scans.push({ ...r }), onIntegrity: () => undefined, onLog: () => undefined, defaultLogRules: [], log: () => undefined,
    now: () => performance.now(), wall: Date.now, random: () => 7, every: () => () => undefined, sleep: async (ms) => void (await sleep(ms)),
  });
  return { service, findings, scans };
}

function ruleFile(text = RULE): string {
  const file = join(place(), 'r.yar');
  writeFileSync(file, text);
  return file;
}

test('a scan of a root directory finds, counts, reports; what is unreadable or too large is told', async (t) => {
  const root = place();
  mkdirSync(join(root, 'sub'));
  writeFileSync(join(root, 'sub', 'bad'), 'something EVIL');
  writeFileSync(join(root, 'good'), 'something good');
  writeFileSync(join(root, 'huge'), '');
  truncateSync(join(root, 'huge'), 3_000_000);
  const { service, findings, scans } = stand(place(), ruleFile(), { config: ', max_file_size: 2 MB', vms: { web: { root } } });
  await service.start();
  const record = service.scan('web', ['/'], []);
  await service.scans.settled(record.id);
  t.like(service.scans.list()[0]!, { state: 'done', files_total: 3, files: 3, malicious: 1, clean: 1, not_fully_scanned: 1, failed: 0, unreadable: 0 });
  t.deepEqual(findings.map((f) => [f.path, f.result.outcome, f.trigger]).toSorted(), [['/huge', 'not-fully-scanned', 'on-demand'], ['/sub/bad', 'malicious', 'on-demand']]);
  t.deepEqual(scans.map((s) => s.state), ['running', 'done']);
  t.throws(() => service.scan('nobody', ['/'], []), { message: /there is no VM "nobody"; known: web/ });
  await service.close();
});

test('pause, resume, restart: every file is looked at exactly once, and a second scan reads nothing', async (t) => {
  const vm = new FakeVm('web');
  for (let i = 0; i < 120; i++) vm.write(`/d${i % 7}/f${String(i).padStart(3, '0')}`, i % 40 === 0 ? `EVIL ${i}` : `content ${i}`);
  const state = place();
  const rules = ruleFile();
  let { service, findings } = stand(state, rules);
  await service.start();
  service.handler.connected(vm);
  const { id } = service.scan('web', ['/'], []);
  while (service.scans.list()[0]!.files < 20) await sleep(2);
  const paused = (await service.scans.change(id, 'pause'))!;
  t.is(paused.state, 'paused');
  const at = paused.files;
  await sleep(30);
  t.is(service.scans.list()[0]!.files, at);
  await service.scans.change(id, 'resume');
  while (service.scans.list()[0]!.files < 60) await sleep(2);
  await service.close();
  const found = findings.length;

  ({ service, findings } = stand(state, rules));
  await service.start();
  const waiting = service.scans.list()[0]!;
  t.true(waiting.files >= 60 && waiting.files < 120, `${waiting.files} files before the restart`);
  await sleep(30);
  t.is(service.scans.list()[0]!.state, 'waiting', 'for the driver');
  service.handler.connected(vm);
  await service.scans.settled(id);
  t.like(service.scans.list()[0]!, { state: 'done', files: 120, files_total: 120, clean: 117, malicious: 3, failed: 0 });
  t.is(found + findings.length, 3);
  const before = vm.bytesRead;
  await service.scans.settled(service.scan('web', ['/'], []).id);
  t.is(service.scans.list()[0]!.files, 120);
  // The first process took what it knew with it: at most what it had judged is read again.
  t.true(vm.bytesRead - before <= 60 * 12, `${vm.bytesRead - before} bytes`);
  const again = vm.bytesRead;
  await service.scans.settled(service.scan('web', ['/'], []).id);
  t.is(vm.bytesRead, again);
  await service.close();
});

test('a driver that goes away in the middle: the scan waits and misses nothing', async (t) => {
  const vm = new FakeVm('web');
  for (let i = 0; i < 80; i++) vm.write(`/d${i % 5}/f${i}`, `content ${i}`);
  const { service } = stand(place(), ruleFile());
  await service.start();
  service.handler.connected(vm);
  const { id } = service.scan('web', ['/'], []);
  while (service.scans.list()[0]!.files < 15) await sleep(1);
  vm.open = false;
  service.handler.disconnected(vm, 'gone');
  await service.scans.settled(id);
  t.is(service.scans.list()[0]!.state, 'waiting');
  vm.open = true;
  service.handler.connected(vm);
  await service.scans.settled(id);
  t.like(service.scans.list()[0]!, { state: 'done', files: 80, clean: 80, failed: 0, unreadable: 0 });
  await service.close();
});

test('new signatures: hot contents are judged again, every VM that holds a newly bad one is named, drivers forget', async (t) => {
  const rules = ruleFile();
  const { service, findings } = stand(place(), rules, { vms: { a: {}, b: {}, c: {} } });
  await service.start();
  const vms = ['a', 'b', 'c'].map((name) => new FakeVm(name));
  for (const vm of vms) {
    service.handler.connected(vm);
    vm.write('/opt/tool', 'a tool with a secret FLAW');
    vm.write('/opt/other', 'harmless');
  }
  for (const vm of vms.slice(0, 2)) t.is((await service.judge.judge(vm.event('/opt/tool'))).verdict, 1);
  t.is((await service.judge.judge(vms[2]!.event('/opt/other'))).verdict, 1);
  t.false(await service.refresh());
  writeFileSync(rules, 'rule Flaw { strings: $a = "FLAW" condition: $a }');
  t.true(await service.refresh());
  await service.settled();
  t.is(service.rejudged.malicious, 1);
  t.is(findings.length, 1);
  t.like(findings[0]!, { trigger: 're-judged', path: '/opt/tool', vms: ['a', 'b'], result: { signature: 'Flaw' } });
  t.deepEqual(vms.map((vm) => vm.forgotten), [1, 2, 3].map(() => [service.engines.epochNumber]));
  for (const vm of vms) t.is((await service.judge.judge(vm.event('/opt/tool'))).verdict, 2);
  t.is((await service.judge.judge(vms[0]!.event('/opt/other'))).verdict, 1);
  await service.close();
});

test('a schedule starts once in its minute, on its days, for its VMs', async (t) => {
  const root = place();
  writeFileSync(join(root, 'f'), 'x');
  const state = place();
  let now = Date.UTC(2026, 0, 5, 2, 59, 50);
  const { config } = parseConfig('t.yaml', `ports: [{ name: n, type: tap, device: n }]\nvms: { a: {}, b: {} }\nfiles: { state: ${state}, engines: [{ type: hash-list }], schedules: [{ name: nightly, at: "03:00", days: [mon] }] }\n`);
  const service = new FileService({
    config: config!.files, vms: { a: { root }, b: {} }, resolve: (p) => p, defaultEngines: [], onFinding: () => undefined, onScan: () => undefined, onIntegrity: () => undefined, onLog: () => undefined, defaultLogRules: [], log: () => undefined,
    now: () => performance.now(), wall: () => now, random: () => 7, every: () => () => undefined, sleep: async (ms) => void (await sleep(ms)),
  });
  await service.start();
  const tick = (): void => service.scans.tick(config!.files.schedules, ['a']);
  tick();
  t.is(service.scans.list().length, 0);
  now += 20_000;
  tick();
  tick();
  t.is(service.scans.list().length, 1);
  await service.scans.settled(1);
  now += 24 * 3600 * 1000;
  tick();
  t.is(service.scans.list().length, 1, 'tuesday');
  now += 6 * 24 * 3600 * 1000;
  tick();
  await service.scans.settled(2);
  t.deepEqual(service.scans.list().map((r) => [r.vm, r.name, r.state, r.trigger]), [['a', 'nightly', 'done', 'scheduled'], ['a', 'nightly', 'done', 'scheduled']]);
  await service.close();
});

test('partition tables: none, MBR, GPT, nonsense', (t) => {
  const image = join(place(), 'disk');
  const write = (size: number, parts: readonly (readonly [number, Buffer])[]): void => {
    const disk = Buffer.alloc(size);
    for (const [at, bytes] of parts) bytes.copy(disk, at);
    writeFileSync(image, disk);
  };
  const signature = [510, Buffer.from([0x55, 0xaa])] as const;
  const mbr = (type: number, first: number, sectors: number): Buffer => {
    const e = Buffer.alloc(16);
    e[4] = type;
    e.writeUInt32LE(first, 8);
    e.writeUInt32LE(sectors, 12);
    return e;
  };
  write(8192, []);
  t.deepEqual(partitionsOf(image), [{ number: 0, offset: 0, size: 8192 }]);
  write(65536, [signature, [446, mbr(0x83, 8, 16)], [462, mbr(0x05, 24, 8)], [478, mbr(0x83, 64, 4096)]]);
  t.deepEqual(partitionsOf(image), [{ number: 1, offset: 4096, size: 8192 }], 'not the extended one, not the one beyond the end');
  const header = Buffer.alloc(512);
  header.write('EFI PART');
  header.writeBigUInt64LE(2n, 72);
  header.writeUInt32LE(4, 80);
  header.writeUInt32LE(128, 84);
  const entry = Buffer.alloc(128, 0);
  entry.fill(1, 0, 16);
  entry.writeBigUInt64LE(40n, 32);
  entry.writeBigUInt64LE(47n, 40);
  write(65536, [signature, [446, mbr(0xee, 1, 127)], [512, header], [1024 + 128, entry]]);
  t.deepEqual(partitionsOf(image), [{ number: 2, offset: 40 * 512, size: 8 * 512 }]);
  write(65536, [signature, [446, mbr(0xee, 1, 127)]]);
  t.throws(() => partitionsOf(image), { message: /promises a GPT/ });
  writeFileSync(image, 'x');
  t.throws(() => partitionsOf(image), { message: /are no disk/ });
});

const root = process.getuid?.() === 0;
if (!root) console.log('scans: test of disk images skipped: it takes root to mount one');
const mkfs = spawnSync('mkfs.ext4', ['-V']).error === undefined;
(root && mkfs ? test : test.skip)('a disk image is mounted read-only and scanned; it does not change', async (t) => {
  const content = place();
  writeFileSync(join(content, 'bad'), 'EVIL inside');
  chmodSync(join(content, 'bad'), 0o600);
  const image = join(place(), 'disk.img');
  writeFileSync(image, '');
  truncateSync(image, 4 * 1024 * 1024);
  t.is(spawnSync('mkfs.ext4', ['-q', '-d', content, image]).status, 0);
  const sum = (): string => spawnSync('sha256sum', [image], { encoding: 'utf8' }).stdout;
  const before = sum();
  const config = join(place(), 'c.yaml');
  writeFileSync(config, `ports: [{ name: n, type: tap, device: n }]\nfiles: { engines: [{ type: yara-x, rules: [${ruleFile()}] }] }\n`);
  const r = spawnSync(process.execPath, ['bin/drawbridge', 'files', 'scan', '--image', image, '-c', config], { encoding: 'utf8' });
  if (/mount: |must be superuser|failed to setup loop/.test(r.stderr)) {
    t.log(`loop mounts are not permitted here: ${r.stderr.trim()}`);
    t.is(r.status, 1);
    return;
  }
  t.is(r.status, 3, r.stderr);
  t.regex(r.stdout, /disk\.img:0\/bad: Evil \(yara-x\)/);
  t.is(sum(), before);
});
