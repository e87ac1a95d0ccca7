import test from 'ava';
import * as fc from 'fast-check';
import { TimerWheel } from '../../../src/util/index.js';

test('fires what a sorted list would fire, however far the deadlines are', (t) => {
  const operation = fc.oneof(
    fc.record({ kind: fc.constant('arm' as const), id: fc.nat(15), in: fc.nat(100) }),
    fc.record({ kind: fc.constant('cancel' as const), id: fc.nat(15) }),
    fc.record({ kind: fc.constant('advance' as const), by: fc.nat(40) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const deadlines = new Map<number, number>();
      const fired: number[] = [];
      let now = 1000;
      const wheel = new TimerWheel(16, 8, (id, tick) => {
        const deadline = deadlines.get(id)!;
        if (deadline > tick) return deadline;
        fired.push(id);
        deadlines.delete(id);
        return -1;
      });
      for (const o of operations) {
        if (o.kind === 'arm') {
          // A deadline of the running tick falls due with the next one.
          deadlines.set(o.id, Math.max(now + o.in, now + 1));
          wheel.arm(o.id, now + o.in, now);
        } else if (o.kind === 'cancel') {
          deadlines.delete(o.id);
          wheel.cancel(o.id);
        } else {
          now += o.by;
          const due = [...deadlines].filter(([, deadline]) => deadline <= now).map(([id]) => id);
          fired.length = 0;
          wheel.advance(now, 1000);
          t.deepEqual(fired.sort((a, b) => a - b), due.sort((a, b) => a - b));
        }
        t.is(wheel.armed, deadlines.size);
        for (let id = 0; id < 16; id++) t.is(wheel.has(id), deadlines.has(id));
      }
    }),
    { numRuns: 200 },
  );
});

test('budget: what is left over fires with the next call; a clock that runs backwards is ignored', (t) => {
  let fired = 0;
  const wheel = new TimerWheel(10, 16, () => {
    fired++;
    return -1;
  });
  for (let id = 0; id < 10; id++) wheel.arm(id, 5, 0);
  t.is(wheel.advance(7, 4), 4);
  t.is(wheel.advance(3, 100), 0);
  t.is(wheel.advance(7, 100), 6);
  t.is(fired, 10);
});
