import test from 'ava';
import fc from 'fast-check';
import { SpscRing } from '../../../src/util/index.js';

test('keeps order and content like a queue, and refuses instead of overwriting', (t) => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 100 }), fc.constant(null)), { maxLength: 300 }), (steps) => {
      const ring = new SpscRing(256);
      const reader = new SpscRing(ring.buffer);
      const model: Uint8Array[] = [];
      const out = new Uint8Array(128);
      for (const step of steps) {
        if (step) {
          if (ring.push(step, 0, step.length)) model.push(step);
          else t.true(ring.used + step.length + 8 > 256 - 104, 'refused although there was room');
        } else {
          const n = reader.pop(out, 0);
          const want = model.shift();
          if (!want) t.is(n, -1);
          else t.deepEqual(out.slice(0, n), want);
        }
      }
      for (const want of model) t.deepEqual(out.slice(0, reader.pop(out, 0)), want);
      t.is(reader.pop(out, 0), -1);
    }),
    { numRuns: 200 },
  );
});

test('a record larger than the target stays and tells its size', (t) => {
  const ring = new SpscRing(256);
  t.true(ring.push(new Uint8Array(50).fill(7), 0, 50));
  t.is(ring.pop(new Uint8Array(10), 0), -52);
  t.is(ring.pop(new Uint8Array(60), 0), 50);
});

test('a bad capacity is refused', (t) => {
  t.throws(() => new SpscRing(1000), { message: /power of two/ });
});
