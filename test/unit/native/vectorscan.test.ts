import test from 'ava';
import * as fc from 'fast-check';
import * as native from '@drawbridge/native';
import { HsDatabase, HS_FLAG_CASELESS, HS_FLAG_DOTALL, HS_FLAG_SINGLEMATCH, hsVersion } from '@drawbridge/native';

const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const escape = (bytes: Uint8Array): string =>
  Array.from(bytes, (b) => `\\x${b.toString(16).padStart(2, '0')}`).join('');

function ids(db: HsDatabase, subject: Uint8Array, off = 0, len = subject.length - off): number[] {
  const out = new Uint32Array(64);
  const n = db.scan(subject, off, len, out);
  return Array.from(out.subarray(0, n)).sort((a, b) => a - b);
}

test('ids are reported once, shared ids are one, flags apply', (t) => {
  const db = HsDatabase.compile([
    { id: 7, expression: 'foo', flags: 0 },
    { id: 9, expression: 'ba[rz]', flags: HS_FLAG_CASELESS | HS_FLAG_SINGLEMATCH },
    { id: 7, expression: 'quux', flags: 0 },
    { id: 4294967295, expression: 'a.b', flags: HS_FLAG_DOTALL },
  ]);
  t.deepEqual(ids(db, latin1('foo foo quux BAZ bar')), [7, 9]);
  t.deepEqual(ids(db, latin1('a\nb')), [4294967295]);
  t.deepEqual(ids(db, latin1('nothing here')), []);
  t.deepEqual(ids(db, new Uint8Array(0)), []);
  t.true(db.size > 0);
});

test('only the window is scanned', (t) => {
  const db = HsDatabase.compile([{ id: 1, expression: 'needle', flags: 0 }]);
  const subject = latin1('xxneedlexx');
  t.deepEqual(ids(db, subject, 2, 6), [1]);
  t.deepEqual(ids(db, subject, 2, 5), []);
  t.deepEqual(ids(db, subject, 3, 7), []);
});

test('out too small: full of valid distinct ids, and -1', (t) => {
  const db = HsDatabase.compile(['aa', 'bb', 'cc', 'dd'].map((expression, id) => ({ id, expression, flags: 0 })));
  const out = new Uint32Array(2);
  t.is(db.scan(latin1('aa bb cc dd'), 0, 11, out), -1);
  t.not(out[0], out[1]);
  t.true(out.every((id) => id < 4));
  t.is(db.scan(latin1('aa bb'), 0, 5, out), 2, 'exactly full is not an overflow');
  t.is(db.scan(latin1('aa'), 0, 2, new Uint32Array(0)), -1);
  t.is(db.scan(latin1('zz'), 0, 2, new Uint32Array(0)), 0);
});

test('escaped literals of any bytes, NUL first included, equal a naive search', (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8, selector: String }),
      fc.uint8Array({ maxLength: 60, max: 3 }),
      (literals, subject) => {
        const small = literals.map((l) => l.map((b) => b & 3));
        const db = HsDatabase.compile(small.map((l, id) => ({ id, expression: escape(l), flags: HS_FLAG_SINGLEMATCH })));
        const expected = small.flatMap((l, id) => (Buffer.from(subject).includes(Buffer.from(l)) ? [id] : []));
        t.deepEqual(ids(db, subject), expected);
      },
    ),
    { numRuns: 150 },
  );
});

test('a serialised database matches the same, and keeps its ids', (t) => {
  const db = HsDatabase.compile([
    { id: 100000, expression: 'alpha', flags: 0 },
    { id: 5, expression: 'beta', flags: 0 },
  ]);
  const bytes = db.serialize();
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  t.deepEqual(ids(HsDatabase.deserialize(shifted.subarray(1)), latin1('beta alpha')), [5, 100000]);
  t.is(Buffer.compare(HsDatabase.deserialize(bytes).serialize(), bytes), 0);
});

test('damaged, truncated and foreign bytes are refused', (t) => {
  const bytes = HsDatabase.compile([{ id: 1, expression: 'abc', flags: 0 }]).serialize();
  for (let cut = 0; cut < bytes.length; cut += 7) {
    t.throws(() => HsDatabase.deserialize(bytes.subarray(0, cut)), { instanceOf: Error }, `cut at ${cut}`);
  }
  // Everything from the library's part on is covered by its version fields and CRC.
  fc.assert(
    fc.property(fc.integer({ min: 20, max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const bad = Uint8Array.from(bytes);
      bad[at] ^= flip;
      try {
        ids(HsDatabase.deserialize(bad), latin1('xabcx'));
      } catch (e) {
        if (!(e instanceof Error)) throw e;
      }
    }),
    { numRuns: 300 },
  );
});

test('compile errors name the pattern', (t) => {
  const bad = (patterns: unknown): Error & { pattern?: number } =>
    t.throws(() => HsDatabase.compile(patterns as native.HsPattern[]), { instanceOf: Error }) as Error;
  const ok = { id: 1, expression: 'ok', flags: 0 };
  t.is(bad([ok, { id: 2, expression: 'a(', flags: 0 }]).pattern, 1);
  t.regex(bad([ok, { id: 2, expression: 'a(', flags: 0 }]).message, /pattern 1: .*parenthes/i);
  t.is(bad([ok, { id: 3, expression: '(?<=x)y', flags: 0 }]).pattern, 1, 'what Vectorscan does not support');
  bad([]);
  bad('abc');
  bad([null]);
  bad([{ ...ok, id: -1 }]);
  bad([{ ...ok, expression: 'a\0b' }]);
  bad([{ ...ok, expression: '\u20ac' }]);
  bad([{ ...ok, flags: 1 << 30 }]);
  t.throws(() => new (HsDatabase as unknown as new () => HsDatabase)(), { instanceOf: TypeError });
});

test('a thousand databases share one scratch', (t) => {
  const subject = latin1('user-agent: probe-500');
  for (let i = 0; i < 1000; i++) {
    const db = HsDatabase.compile([{ id: i, expression: `probe-${i}\\b`, flags: 0 }]);
    t.deepEqual(ids(db, subject), i === 500 ? [500] : []);
  }
  t.regex(hsVersion(), /^\d+\.\d+\.\d+.* cpu=[0-9a-f]+ tune=\d+$/);
});
