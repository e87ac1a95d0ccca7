import test from 'ava';
import fc from 'fast-check';
import { IdentityTable } from '../../../src/file-events/cache/identity-table.js';
import { VerdictCache, isLasting } from '../../../src/file-events/cache/verdict-cache.js';
import { VmSet } from '../../../src/file-events/cache/vm-set.js';
import { CLEAN, failed, malicious, notFullyScanned } from '../../../src/file-events/engines/engine.js';

test('identities: what was set last is found, against a Map', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string({ maxLength: 48 }), fc.integer({ min: 1, max: 0xffffffff })), { maxLength: 600 }), fc.integer(), fc.integer(), (entries, a, b) => {
      const table = new IdentityTable([a, b], 4096);
      const model = new Map<string, number>();
      for (const [key, serial] of entries) {
        table.set(key, serial);
        model.set(key, serial);
      }
      t.is(table.evicted, 0);
      t.is(table.size, model.size);
      for (const [key, serial] of model) t.is(table.get(key), serial);
      t.is(table.get('never set, and longer than any that was: 0123456789'), 0);
    }),
    { numRuns: 50 },
  );
});

test('identities: bounded, and 5000 of them take less than 200 KB', (t) => {
  const table = new IdentityTable([1, 2], 8192);
  for (let i = 0; i < 5000; i++) table.set(`file ${i}`, i + 1);
  t.true(table.bytes < 200_000, String(table.bytes));
  t.is(table.evicted, 0);
  for (let i = 0; i < 50_000; i++) table.set(`another ${i}`, i + 1);
  t.true(table.size <= 8192);
  t.is(table.bytes, 8192 * 12);
  t.true(table.evicted > 40_000);
  table.clear();
  t.is(table.get('another 49999'), 0);
});

test('a verdict holds in its epoch only; holders and hits survive new signatures', (t) => {
  const cache = new VerdictCache(10);
  const record = cache.put('aa', 5, CLEAN, 'one');
  record.holders.add(3);
  record.hits = 7;
  t.is(cache.get('aa', 'one')?.serial, record.serial);
  t.is(cache.get('aa', 'two'), undefined);
  t.is(cache.bySerial(record.serial, 'two'), undefined);
  const again = cache.put('aa', 5, malicious('x', 'Bad'), 'two');
  t.is(again, record);
  t.is(cache.bySerial(record.serial, 'two')?.result.signature, 'Bad');
  t.deepEqual(again.holders.members(), [3]);
  t.is(again.hits, 7);
});

test('hot contents are judged again first; a full cache forgets the least used and its serial', (t) => {
  const cache = new VerdictCache(3);
  for (const [hash, hits] of [['a', 1], ['b', 9], ['c', 4]] as const) cache.put(hash, 1, CLEAN, 'one').hits = hits;
  t.deepEqual(cache.stale('two').map((r) => r.sha256), ['b', 'c', 'a']);
  const b = cache.get('b', 'one')!;
  const a = cache.get('a', 'one')!;
  cache.get('c', 'one');
  cache.put('d', 1, CLEAN, 'one');
  t.is(cache.get('b', 'one'), undefined);
  t.is(cache.bySerial(b.serial, 'one'), undefined);
  t.is(cache.bySerial(a.serial, 'one'), a);
  t.is(cache.evicted, 1);
});

test('results that another try could change are not kept', (t) => {
  t.true(isLasting(CLEAN));
  t.true(isLasting(malicious('e', 'X')));
  t.true(isLasting(notFullyScanned('e', 'encrypted: Zip')));
  t.false(isLasting(notFullyScanned('e', 'limit: MaxScanTime')));
  t.false(isLasting(failed('e', 'unavailable')));
});

test('VmSet against a Set', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(5000)), { maxLength: 200 }), (steps) => {
      const set = new VmSet();
      const model = new Set<number>();
      for (const [add, vm] of steps) {
        if (add) set.add(vm);
        else set.delete(vm);
        if (add) model.add(vm);
        else model.delete(vm);
      }
      t.deepEqual(set.members(), [...model].toSorted((x, y) => x - y));
    }),
  );
});
