import test from 'ava';
import fc from 'fast-check';
import { SpscRing } from '../../../src/util/index.js';
import { MirrorPort } from '../../../src/vswitch/index.js';
import { KIND_FRAME, MAX_RECORD, RECORD_HEADER, RecordReader, putRecord } from '../../../src/vswitch/ports/mirror-protocol.js';

test('records come out whole however the stream is cut', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (bodies, cuts) => {
      const stream = new Uint8Array(bodies.reduce((n, b) => n + RECORD_HEADER + b.length, 0));
      let at = 0;
      for (const body of bodies) {
        putRecord(stream, at, KIND_FRAME + 1, body.length, 1, 2);
        stream.set(body, at + RECORD_HEADER);
        at += RECORD_HEADER + body.length;
      }
      const got: Uint8Array[] = [];
      const reader = new RecordReader((record, len) => got.push(record.slice(RECORD_HEADER, len)));
      for (let from = 0, i = 0; from < stream.length; i++) {
        const to = from + cuts[i % cuts.length]!;
        reader.push(stream.subarray(from, to));
        from = to;
      }
      t.deepEqual(got, bodies);
    }),
    { numRuns: 100 },
  );
});

test('a length no record has is an error, not an allocation', (t) => {
  const header = new Uint8Array(RECORD_HEADER);
  putRecord(header, 0, KIND_FRAME, MAX_RECORD + 1, 0, 0);
  t.throws(() => new RecordReader(() => t.fail()).push(header), { instanceOf: RangeError });
});

test('ring sizes', (t) => {
  t.throws(() => new MirrorPort({ interface: 'lo', ringBytes: 100_000 }), { instanceOf: RangeError });
  t.throws(() => new MirrorPort({ interface: 'lo', ringBytes: 65536 }), { instanceOf: RangeError, message: /at least/ });
  t.is(new SpscRing(1 << 20).push(new Uint8Array(MAX_RECORD + RECORD_HEADER), 0, MAX_RECORD + RECORD_HEADER), true);
});
