import test from 'ava';
import fc from 'fast-check';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { IntegrityMonitor, type IntegrityChange } from '../../../src/file-events/index.js';
import { compilePattern, fixedPart } from '../../../src/file-events/integrity/pattern.js';
import { IntegrityRule, walkRoots, type IntegrityRuleConfig } from '../../../src/file-events/integrity/rule.js';
import { isText, textDiff } from '../../../src/file-events/integrity/text-diff.js';
import { DriverTree } from '../../../src/file-events/scan/driver-tree.js';
import { LocalTree } from '../../../src/file-events/scan/local-tree.js';
import { openState } from '../../../src/file-events/scan/state.js';
import type { FileTree } from '../../../src/file-events/scan/tree.js';
import { FakeVm } from '../../helpers/fake-driver.js';

const directory = mkdtempSync(join(tmpdir(), 'drawbridge-integrity-'));
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

test('patterns: levels, wildcards, fixed part', (t) => {
  const table: [string, string[], string[]][] = [
    ['/etc/passwd', ['/etc/passwd'], ['/etc/passwd2', '/etc', '/x/etc/passwd']],
    ['/etc/*', ['/etc/a', '/etc/.b'], ['/etc', '/etc/a/b']],
    ['/etc/**', ['/etc', '/etc/a', '/etc/a/b'], ['/etcetera', '/x']],
    ['/**/*.key', ['/a.key', '/a/b/c.key'], ['/a.key/x', '/akey']],
    ['/etc/**/conf.d', ['/etc/conf.d', '/etc/a/b/conf.d'], ['/etc/xconf.d']],
    ['/bin/[x](y)+.?', ['/bin/[x](y)+.z'], ['/bin/x', '/bin/[x](y)+.zz']],
  ];
  for (const [pattern, yes, no] of table) {
    const re = compilePattern(pattern);
    for (const path of yes) t.true(re.test(path), `${pattern} ${path}`);
    for (const path of no) t.false(re.test(path), `${pattern} not ${path}`);
  }
  t.throws(() => compilePattern('etc'), { message: /must begin with/ });
  t.throws(() => compilePattern('/etc/a**'), { message: /must stand alone/ });
  t.deepEqual(['/etc/**', '/**', '/usr/bin/x', '/usr/*/x'].map(fixedPart), ['/etc', '/', '/usr/bin/x', '/usr']);
  t.deepEqual(walkRoots([rule({ include: ['/etc/**', '/etc/ssh/*', '/usr/bin'] })].map((r) => new IntegrityRule(r))), ['/etc', '/usr/bin']);
});

test('diffs: applying them gives the new text; too different or binary gives none', (t) => {
  t.is(textDiff('a\nb\nc\n', 'a\nX\nc\n'), '@@ -1,4 +1,4 @@\n a\n-b\n+X\n c\n ');
  t.is(textDiff('same', 'same'), '');
  t.false(isText(Buffer.from([65, 0])));
  t.false(isText(Buffer.from([0xff])));
  const word = fc.constantFrom('a', 'b', 'c', 'd', '');
  fc.assert(
    fc.property(fc.array(word, { maxLength: 30 }), fc.array(word, { maxLength: 30 }), (x, y) => {
      const [a, b] = [x.join('\n'), y.join('\n')];
      const diff = textDiff(a, b);
      t.is(apply(a, diff!), b);
    }),
    { numRuns: 300 },
  );
  t.is(textDiff(Array.from({ length: 1000 }, (_, i) => `a${i}`).join('\n'), Array.from({ length: 1000 }, (_, i) => `b${i}`).join('\n')), null);
});

/** patch(1), as simple as can be. */
function apply(text: string, diff: string): string {
  if (diff === '') return text;
  const old = text.split('\n');
  const out: string[] = [];
  let at = 0;
  for (const line of diff.split('\n')) {
    const header = /^@@ -(\d+),/.exec(line);
    if (header !== null) while (at < Number(header[1]) - 1) out.push(old[at++]!);
    else if (line[0] === '+') out.push(line.slice(1));
    else {
      if (line[0] === ' ') out.push(line.slice(1));
      at++;
    }
  }
  return [...out, ...old.slice(at)].join('\n');
}

function rule(more: Partial<IntegrityRuleConfig>): IntegrityRuleConfig {
  return { name: 'r', severity: 'medium', include: ['/**'], exclude: [], attributes: ['STANDARD'], on_change: true, diff: false, no_diff: [], ...more };
}

let states = 0;
function monitor(tree: () => FileTree, rules: readonly IntegrityRuleConfig[]) {
  const changes: IntegrityChange[] = [];
  const db = openState(join(directory, `state${states++}.db`));
  const m = new IntegrityMonitor({ db, rules, tree, report: (c) => changes.push(c), log: () => undefined, now: () => performance.now(), wall: Date.now, sleep: async (ms) => void (await sleep(ms)) });
  return { m, changes, db };
}

test('a check reports each change once: created, updated by attribute, deleted, renamed; text with its diff, secrets without', async (t) => {
  const root = join(directory, 'root');
  for (const d of ['', 'etc', 'etc/ssl', 'var']) mkdirSync(join(root, d));
  const put = (path: string, text: string): void => writeFileSync(join(root, path), text);
  put('etc/hosts', '127.0.0.1 localhost\n');
  put('etc/ssl/host.key', 'secret one\n');
  put('etc/perm', 'x');
  put('etc/gone', 'y');
  put('etc/old-name', 'a name');
  put('var/log', 'noise');
  symlinkSync('hosts', join(root, 'etc/link'));
  const { m, changes } = monitor(() => new LocalTree(root), [rule({ include: ['/etc/**'], diff: true, no_diff: ['/**/*.key'] })]);
  await t.throwsAsync(m.check('web'), { message: /no baseline of web/ });
  t.like(await m.baseline('web'), { entities: 7, unreadable: 0 });
  t.like(await m.check('web'), { entities: 7, changes: 0 });

  put('etc/hosts', '127.0.0.1 localhost\n10.0.0.66 bank.example\n');
  put('etc/ssl/host.key', 'secret two\n');
  chmodSync(join(root, 'etc/perm'), 0o4755);
  unlinkSync(join(root, 'etc/gone'));
  renameSync(join(root, 'etc/old-name'), join(root, 'etc/new-name'));
  put('etc/fresh', 'z');
  put('var/log', 'more noise');
  unlinkSync(join(root, 'etc/link'));
  symlinkSync('/etc/passwd', join(root, 'etc/link'));
  t.like(await m.check('web'), { changes: 7 });
  const of = (path: string): IntegrityChange | undefined => changes.find((c) => c.path === path);
  t.like(of('/etc/hosts'), { change: 'updated', diff: '@@ -1,2 +1,3 @@\n 127.0.0.1 localhost\n+10.0.0.66 bank.example\n ' });
  t.true(of('/etc/hosts')!.attributes.includes('contents') && of('/etc/hosts')!.attributes.includes('size'));
  t.like(of('/etc/ssl/host.key'), { change: 'updated', diff: '' });
  t.deepEqual(of('/etc/perm')!.attributes, ['permissions']);
  t.is(of('/etc/gone')?.change, 'deleted');
  t.like(of('/etc/new-name'), { change: 'renamed', from: '/etc/old-name' });
  t.is(of('/etc/fresh')?.change, 'created');
  t.true(of('/etc/link')!.attributes.includes('symlink'));
  t.is(of('/var/log'), undefined);
  t.false(JSON.stringify(changes).includes('secret'));
  t.like(await m.check('web'), { changes: 0 });
  t.like(m.list()[0]!, { vm: 'web', entities: 7, outdated: false });
});

test('contents changed behind restored size and time are found', async (t) => {
  const root = join(directory, 'timestomp');
  mkdirSync(root);
  const file = join(root, 'sshd');
  writeFileSync(file, 'good');
  utimesSync(file, 1000, 1000);
  const { m, changes } = monitor(() => new LocalTree(root), [rule({})]);
  await m.baseline('web');
  writeFileSync(file, 'evil');
  utimesSync(file, 1000, 1000);
  t.is((await m.check('web')).changes, 1);
  t.deepEqual(changes[0]!.attributes, ['contents']);
});

test('changes that the driver tells are looked at within a second, with who did it; a restart keeps the baseline', async (t) => {
  const vm = new FakeVm('web');
  vm.write('/etc/hosts', 'one');
  vm.write('/etc/other', 'same');
  const rules = [rule({ include: ['/etc/**'] }), rule({ name: 'later', include: ['/opt/**'], on_change: false })];
  const { m, changes, db } = monitor(() => new DriverTree(vm, 1e9), rules);
  const who = { pid: 42, uid: 1000, image: '/usr/bin/vi' };
  m.changed('web', '/etc/hosts', who);
  await m.baseline('web');
  vm.write('/etc/hosts', 'two');
  vm.write('/etc/new', 'n');
  vm.write('/opt/x', 'later');
  for (const path of ['/etc/hosts', '/etc/hosts', '/etc/new', '/opt/x', '/tmp/whatever']) m.changed('web', path, who);
  const started = performance.now();
  while (changes.length < 2 && performance.now() - started < 5000) await sleep(5);
  t.deepEqual(changes.map((c) => [c.path, c.change, c.process?.image]), [['/etc/hosts', 'updated', '/usr/bin/vi'], ['/etc/new', 'created', '/usr/bin/vi']]);
  vm.files.delete('/etc/new');
  m.changed('web', '/etc/new', who);
  while (changes.length < 3 && performance.now() - started < 10_000) await sleep(5);
  t.is(changes[2]?.change, 'deleted');
  await m.close();

  const again: IntegrityChange[] = [];
  const second = new IntegrityMonitor({ db, rules, tree: () => new DriverTree(vm, 1e9), report: (c) => again.push(c), log: () => undefined, now: () => performance.now(), wall: Date.now, sleep: async (ms) => void (await sleep(ms)) });
  vm.write('/etc/other', 'changed while nobody looked');
  t.is((await second.check('web')).changes, 2);
  t.deepEqual(again.map((c) => [c.path, c.change]), [['/etc/other', 'updated'], ['/opt/x', 'created']]);
  vm.write('/etc/lost', 'events were lost');
  second.changed('web', '', who);
  while (again.length < 3 && performance.now() - started < 20_000) await sleep(5);
  t.is(again[2]?.path, '/etc/lost');
  vm.open = false;
  await t.throwsAsync(second.check('web'), { message: /not connected/ });
});
