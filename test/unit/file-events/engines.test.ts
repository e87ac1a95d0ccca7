import test from 'ava';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ClamdEngine, interpret } from '../../../src/file-events/engines/clamd.js';
import { ContentError, ContentSpool, bytesOf, contentOf } from '../../../src/file-events/engines/content.js';
import { HashListEngine, parseHashList } from '../../../src/file-events/engines/hash-list.js';
import { YaraXEngine } from '../../../src/file-events/engines/yara-x.js';
import { EICAR, PrivateClamd, TEST_FILES, clamdMissing } from '../../helpers/clamd.js';

const sleep = (ms: number): Promise<void> => new Promise((go) => setTimeout(go, ms));
const soon = (): AbortSignal => AbortSignal.timeout(20_000);
const directory = mkdtempSync(join(tmpdir(), 'drawbridge-engines-'));
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

const missing = clamdMissing();
const withClamd = missing === '' ? test.serial : test.serial.skip;
if (missing !== '') console.log(`engines: tests with clamd skipped: ${missing}`);

test('hash list: denied, allowed, names, what sha256sum prints, and errors that name the line', async (t) => {
  const [bad, good] = [contentOf(Buffer.from('bad')), contentOf(Buffer.from('good'))];
  const deny = join(directory, 'deny.txt');
  const allow = join(directory, 'allow.txt');
  writeFileSync(deny, `# known bad\n${bad.sha256}  Test.Bad\n\n${'0'.repeat(64)} # no name\n`);
  writeFileSync(allow, `${good.sha256} *good.bin\n`);
  const engine = new HashListEngine({ deny: [deny], allow: [allow] });
  await engine.start();
  t.like(await engine.scan(bad), { outcome: 'malicious', signature: 'Test.Bad' });
  t.is((await engine.scan(good)).outcome, 'clean');
  t.true(engine.knownGood(good));
  t.false(engine.knownGood(bad));
  const before = engine.epoch;
  t.false(await engine.refresh());
  writeFileSync(deny, `${good.sha256}\n`);
  t.true(await engine.refresh());
  t.not(engine.epoch, before);
  t.is((await engine.scan(bad)).outcome, 'clean');
  t.false(engine.knownGood(good), 'a hash on both lists is bad');
  writeFileSync(deny, 'not a hash\n');
  await t.throwsAsync(engine.refresh(), { message: /deny\.txt:1: "not a hash" is not a hash: expected 64 hexadecimal/ });
  t.is((await engine.scan(good)).outcome, 'malicious', 'the lists before stay');
  const into = new Map<string, string>();
  t.throws(() => parseHashList('f', `${'a'.repeat(64)}\n${'a'.repeat(63)}\n`, into), { message: /f:2/ });
});

test('content: copies in memory and on disk, hash, changes while reading, bound of the spool', async (t) => {
  const spool = new ContentSpool(directory, 20 * 1024 * 1024);
  const large = Buffer.alloc(9 * 1024 * 1024, 'abcdefg');
  const read = (bytes: Buffer) => async (offset: number, length: number) => bytes.subarray(offset, offset + length);
  const small = await spool.fetch(5, read(Buffer.from('hello')));
  t.is(small.sha256, '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824');
  const onDisk = await spool.fetch(large.length, read(large));
  t.is(onDisk.bytes, null);
  t.is(onDisk.sha256, contentOf(large).sha256);
  t.true(bytesOf(onDisk).equals(large));
  t.deepEqual(readdirSync(directory).filter((f) => f.startsWith('.spool')), []);
  await t.throwsAsync(spool.fetch(6, read(Buffer.from('hello'))), { instanceOf: ContentError, message: /changed/ });
  await t.throwsAsync(spool.fetch(12 * 1024 * 1024, read(large)), { message: /spool-full/ });
  t.is(spool.refused, 1);
  spool.release(onDisk);
  spool.release(small);
  t.is(spool.held, 0);
  t.is((await spool.fetch(0, read(Buffer.alloc(0)))).size, 0);
});

const RULES = `rule Marker { strings: $a = "marker of the test" condition: $a }
private rule Helper { condition: true }
rule Slow { strings: $a = /x.{0,60}y.{0,60}z/ condition: #a > 100000000 }`;

test('yara-x: finds, passes, refuses by size, reloads, keeps old rules when new ones are wrong', async (t) => {
  const file = join(directory, 'r.yar');
  writeFileSync(file, RULES);
  const engine = new YaraXEngine({ rules: [directory], max_file_size: 1_000_000, timeout_seconds: 10, threads: 2 });
  await engine.start();
  const bad = contentOf(Buffer.from('here is the marker of the test, see'));
  const results = await Promise.all([engine.scan(bad, soon()), ...Array.from({ length: 6 }, () => engine.scan(contentOf(Buffer.from('nothing')), soon()))]);
  t.like(results[0], { outcome: 'malicious', signature: 'Marker', engine: 'yara-x' });
  t.deepEqual([...new Set(results.slice(1).map((r) => r.outcome))], ['clean']);
  t.like(await engine.scan(contentOf(Buffer.alloc(1_000_001)), soon()), { outcome: 'not-fully-scanned' });
  t.is((await engine.scan(bad, AbortSignal.abort())).outcome === 'clean', false);
  writeFileSync(file, 'rule Broken { condition: nonsense }');
  await t.throwsAsync(engine.refresh(), { message: /r\.yar: error\[E009\]/ });
  t.is((await engine.scan(bad, soon())).signature, 'Marker');
  writeFileSync(file, 'rule Renamed { strings: $a = "marker" condition: $a }');
  t.true(await engine.refresh());
  t.is((await engine.scan(bad, soon())).signature, 'Renamed');
  await engine.close();
  t.is((await engine.scan(bad, soon())).outcome, 'failed');
  rmSync(file);
});

test('what clamd says: a limit or encryption is never clean, an error never either', (t) => {
  t.is(interpret('clamd', 'stream: OK').outcome, 'clean');
  t.like(interpret('clamd', 'stream: Win.Test.EICAR_HDB-1 FOUND'), { outcome: 'malicious', signature: 'Win.Test.EICAR_HDB-1' });
  t.like(interpret('clamd', 'stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND'), { outcome: 'not-fully-scanned', reason: 'limit: MaxFileSize' });
  t.like(interpret('clamd', 'stream: Heuristics.Encrypted.Zip FOUND'), { outcome: 'not-fully-scanned', reason: 'encrypted: Zip' });
  t.is(interpret('clamd', 'INSTREAM size limit exceeded. ERROR').outcome, 'not-fully-scanned');
  for (const odd of ['', 'stream: ', 'UNKNOWN COMMAND', "stream: Can't allocate memory ERROR", 'OK']) t.is(interpret('clamd', odd).outcome, 'failed', odd);
});

withClamd('clamd: EICAR and every test file of Debian are found; limits, encryption and stream size are told apart', async (t) => {
  t.timeout(60_000);
  const clamd = new PrivateClamd('AlertExceedsMax yes\nAlertEncrypted yes\nStreamMaxLength 4M\n');
  t.teardown(() => clamd.remove());
  await clamd.start();
  const engine = new ClamdEngine({ socket: clamd.socket, database: clamd.database, reload_seconds: 0 }, sleep);
  await engine.start();
  t.like(await engine.scan(contentOf(EICAR), soon()), { outcome: 'malicious', signature: 'Eicar-Test-Signature', engine: 'clamd' });
  t.is((await engine.scan(contentOf(Buffer.from('a letter')), soon())).outcome, 'clean');
  t.is((await engine.scan(contentOf(Buffer.alloc(0)), soon())).outcome, 'clean');
  const missed: string[] = [];
  const files = readdirSync(TEST_FILES);
  for (const name of files) {
    const result = await engine.scan(contentOf(readFileSync(join(TEST_FILES, name))), soon());
    if (result.outcome !== 'malicious') missed.push(`${name}: ${result.outcome}`);
  }
  t.true(files.length > 30);
  t.deepEqual(missed, []);
  t.like(await engine.scan(contentOf(Buffer.alloc(5 * 1024 * 1024)), soon()), { outcome: 'not-fully-scanned', reason: 'limit: StreamMaxLength' });
  let deep: Buffer = EICAR;
  for (let i = 0; i < 40; i++) deep = gzipSync(deep);
  t.like(await engine.scan(contentOf(deep), soon()), { outcome: 'not-fully-scanned', reason: 'limit: MaxRecursion' });
  const spool = new ContentSpool(clamd.directory, 1e9);
  const big = Buffer.concat([Buffer.alloc(900_000, 32), EICAR]);
  const content = await spool.fetch(big.length, async (o, n) => big.subarray(o, o + n));
  t.is((await engine.scan(content, soon())).outcome, 'malicious');
});

withClamd('clamd: new signatures change the epoch once they judge', async (t) => {
  t.timeout(60_000);
  const clamd = new PrivateClamd();
  t.teardown(() => clamd.remove());
  await clamd.start();
  const engine = new ClamdEngine({ socket: clamd.socket, database: clamd.database, reload_seconds: 1 }, sleep);
  await engine.start();
  const sample = contentOf(Buffer.from('a fresh kind of malware'));
  t.is((await engine.scan(sample, soon())).outcome, 'clean');
  t.false(await engine.refresh());
  const before = engine.epoch;
  clamd.signature('Fresh', Buffer.from('fresh kind'));
  t.true(await engine.refresh());
  t.not(engine.epoch, before);
  t.is((await engine.scan(sample, soon())).signature, 'Fresh');
});

withClamd('clamd: killed in the middle and restarted, gone, mute, or lenient: never a clean verdict by failure', async (t) => {
  t.timeout(60_000);
  const clamd = new PrivateClamd();
  t.teardown(() => clamd.remove());
  await clamd.start();
  const engine = new ClamdEngine({ socket: clamd.socket, database: '', reload_seconds: 0 }, sleep);
  await engine.start();
  await clamd.kill();
  const pending = Promise.all(Array.from({ length: 8 }, (_, i) => engine.scan(contentOf(i % 2 === 0 ? EICAR : Buffer.from(`letter ${i}`)), soon())));
  await sleep(100);
  await clamd.start();
  const results = await pending;
  t.deepEqual(results.map((r) => r.outcome), results.map((_, i) => (i % 2 === 0 ? 'malicious' : 'clean')));
  t.true(engine.retries > 0);
  await clamd.kill();
  t.like(await engine.scan(contentOf(EICAR), AbortSignal.timeout(300)), { outcome: 'failed' });

  const lenient = new PrivateClamd('');
  t.teardown(() => lenient.remove());
  await lenient.start();
  const refused = new ClamdEngine({ socket: lenient.socket, database: '', reload_seconds: 0 }, sleep);
  await t.throwsAsync(refused.start(), { message: /set "AlertExceedsMax yes" in its clamd\.conf/ });
  t.is((await refused.scan(contentOf(Buffer.from('letter')), soon())).outcome, 'failed');
});
