import test from 'ava';
import fc from 'fast-check';
import { TokenBuckets } from '../../../src/util/index.js';

test('no more than burst plus rate times time ever passes', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 100 }), fc.array(fc.tuple(fc.nat(200_000), fc.integer({ min: 1, max: 10 })), { maxLength: 200 }), (rate, burst, takes) => {
      const buckets = new TokenBuckets(2);
      buckets.configure(1, rate, burst);
      let now = 5_000_000;
      let passed = 0;
      for (const [wait, n] of takes) {
        now += wait;
        if (buckets.take(1, n, Math.floor(now / 1e6), now % 1e6)) passed += Math.min(n, burst);
      }
      t.true(passed <= burst + ((now - 5_000_000) * rate) / 1e6 + 1e-6);
    }),
  );
});

test('an unlimited bucket, a clock that steps back, a request larger than the bucket', (t) => {
  const buckets = new TokenBuckets(2);
  t.true(buckets.take(0, 1e9, 0, 0));
  buckets.configure(1, 1, 2);
  t.true(buckets.take(1, 5, 100, 0), 'a full bucket is enough');
  t.false(buckets.take(1, 1, 100, 0));
  t.false(buckets.take(1, 1, 50, 0));
  t.true(buckets.take(1, 1, 51, 0), 'time goes on from where it stepped back to');
  t.throws(() => buckets.configure(2, 1, 1), { instanceOf: RangeError });
  t.throws(() => buckets.configure(0, -1, 1), { instanceOf: RangeError });
  t.throws(() => buckets.configure(0, 1, 0), { instanceOf: RangeError });
});
