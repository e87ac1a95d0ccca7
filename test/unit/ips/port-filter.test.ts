import test from 'ava';
import * as fc from 'fast-check';
import { PortBitmap } from '../../../src/ips/header.js';
import { PortFilter } from '../../../src/ips/port-filter.js';

const port = fc.integer({ min: 0, max: 65535 });
const range = fc.tuple(port, port).map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));

test('the table says what the sets say, for every port', (t) => {
  fc.assert(
    fc.property(fc.array(fc.array(range, { maxLength: 4 }), { maxLength: 6 }), fc.array(port, { minLength: 1, maxLength: 50 }), (lists, ports) => {
      const sets = lists.map((ranges) => new PortBitmap({ ranges, any: false, negated: false }));
      const filter = new PortFilter(sets);
      const edges = lists.flat().flatMap(({ first, last }) => [first - 1, first, last, last + 1]).filter((p) => p >= 0 && p <= 65535);
      for (const set of sets) for (const p of [0, 65535, ...edges, ...ports]) t.is(filter.takes(filter.rowOf(set), filter.classOf(p)), set.contains(p));
    }),
    { numRuns: 60 },
  );
});

test('a rule without ports takes all of them', (t) => {
  t.is(new PortFilter([]).rowOf(null), -1);
});
