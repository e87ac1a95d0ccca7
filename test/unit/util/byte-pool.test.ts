import test from 'ava';
import * as fc from 'fast-check';
import { BytePool } from '../../../src/util/index.js';

test('classes, reuse and the cap', (t) => {
  const pool = new BytePool(4096, 256);
  const small = pool.acquire(1)!;
  t.is(small.length, 256);
  t.is(pool.acquire(257)!.length, 512);
  pool.release(small);
  t.is(pool.acquire(200), small);
  t.is(pool.acquire(4096), null);
  t.is(pool.refused, 1);
  t.is(pool.acquire(2 ** 31), null);
});

test('kept buffers make room for other sizes', (t) => {
  const pool = new BytePool(4096, 256);
  const all = Array.from({ length: 16 }, () => pool.acquire(256)!);
  t.is(pool.acquire(256), null);
  for (const buf of all) pool.release(buf);
  t.is(pool.acquire(4096)!.length, 4096);
  t.is(pool.allocated, 4096);
});

test('never above the cap, books always right', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 3000 }), fc.boolean()), { maxLength: 200 }), (operations) => {
      const pool = new BytePool(16_384, 64);
      const lent: Uint8Array[] = [];
      for (const [size, give] of operations) {
        if (give && lent.length > 0) {
          pool.release(lent.splice(size % lent.length, 1)[0]!);
        } else {
          const buf = pool.acquire(size);
          if (buf !== null) {
            t.true(buf.length >= size && !lent.includes(buf));
            lent.push(buf);
          }
        }
        t.is(pool.inUse, lent.reduce((sum, buf) => sum + buf.length, 0));
        t.true(pool.allocated <= 16_384 && pool.allocated >= pool.inUse);
      }
    }),
    { numRuns: 100 },
  );
});
