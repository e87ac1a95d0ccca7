import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { FilePatternCache } from '../../../src/appliance/pattern-cache.js';
import { RuleSet } from '../../../src/ips/index.js';
import { ProtocolRegistry } from '../../../src/protocols/index.js';

/** Enough patterns for a database worth keeping. */
const RULES = 300;
const RULE = { file: 'a.rules', text: Array.from({ length: RULES }, (_, i) => `alert tcp any any -> any any (msg:"x"; content:"needle${i}"; sid:${i + 1}; rev:1;)\n`).join('') };

function temporary(t: { teardown(f: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), 'db-cache-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'cache');
}

test('databases are kept, read back, and a damaged one is compiled again', (t) => {
  const dir = temporary(t);
  const log: string[] = [];
  const cache = new FilePatternCache(dir, (text) => log.push(text));
  const compile = (): number => RuleSet.compile([RULE], new ProtocolRegistry().protocols, { cache }).rules.length;
  t.is(compile(), RULES);
  const files = readdirSync(dir);
  t.true(files.length > 0 && files.every((f) => f.endsWith('.hsdb')));
  const size = statSync(join(dir, files[0]!)).size;
  for (const f of files) writeFileSync(join(dir, f), 'damaged');
  t.is(compile(), RULES);
  t.is(statSync(join(dir, files[0]!)).size, size);
  t.deepEqual(log, []);
});

test('a directory that cannot be used costs a line in the log, not the start', (t) => {
  const dir = temporary(t);
  const log: string[] = [];
  const cache = new FilePatternCache(dir, (text) => log.push(text));
  rmSync(dir, { recursive: true });
  writeFileSync(dir, 'a file in its place');
  chmodSync(dir, 0o600);
  cache.store('k', new Uint8Array([1]));
  t.is(cache.load('k'), null);
  t.is(log.length, 2);
});
