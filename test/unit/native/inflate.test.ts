import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { Inflater } from '@drawbridge/native';
import test from 'ava';
import fc from 'fast-check';

function native(packed: Uint8Array, pieces: number[], room: number): { bytes: Uint8Array; status: number } {
  const stream = new Inflater();
  const out = new Uint8Array(room);
  const used = new Int32Array(2);
  const chunks: Uint8Array[] = [];
  let at = 0;
  let status = 0;
  for (let i = 0; at < packed.length; i++) {
    const end = Math.min(packed.length, at + (pieces[i % pieces.length] ?? 1));
    do {
      status = stream.push(packed, at, end - at, out, used);
      at += used[0]!;
      chunks.push(out.slice(0, used[1]));
    } while (status === 2);
    if (status !== 0) break;
  }
  return { bytes: Buffer.concat(chunks), status };
}

/** What zlib makes of a stream that breaks off. */
function zlib(packed: Uint8Array): Buffer {
  return packed.length === 0 ? Buffer.alloc(0) : inflateRawSync(packed, { finishFlush: constants.Z_SYNC_FLUSH });
}

const data = fc.oneof(
  fc.uint8Array({ maxLength: 3000 }),
  fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 400 })).map(([unit, n]) => Uint8Array.from({ length: unit.length * n }, (_, i) => unit[i % unit.length]!)),
);

test('decodes what zlib packed, however it is cut and however small the room', (t) => {
  fc.assert(
    fc.property(data, fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 4000 }), fc.integer({ min: 0, max: 9 }), (plain, pieces, room, level) => {
      const got = native(deflateRawSync(plain, { level }), pieces, room);
      t.is(got.status, 1);
      t.deepEqual(Buffer.from(got.bytes), Buffer.from(plain));
    }),
    { numRuns: 200 },
  );
});

test('of a stream that breaks off it gives what is there', (t) => {
  fc.assert(
    fc.property(data, fc.nat(), (plain, cut) => {
      const packed = deflateRawSync(plain);
      const short = packed.subarray(0, cut % (packed.length + 1));
      const got = native(short, [short.length || 1], 70_000);
      t.deepEqual(Buffer.from(got.bytes), zlib(short));
      t.is(got.status === 1, short.length === packed.length);
    }),
    { numRuns: 200 },
  );
});

test('damaged streams never crash and never write past the room', (t) => {
  fc.assert(
    fc.property(data, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 8 }), (plain, flips) => {
      const packed = Uint8Array.from(deflateRawSync(plain));
      for (const [at, bits] of flips) if (packed.length > 0) packed[at % packed.length]! ^= bits;
      const got = native(packed, [97], 512);
      t.true([-1, 0, 1].includes(got.status));
    }),
    { numRuns: 300 },
  );
});

test('a reset stream starts anew; bad arguments throw', (t) => {
  const stream = new Inflater();
  const out = new Uint8Array(64);
  const used = new Int32Array(2);
  t.is(stream.push(Uint8Array.of(0xff, 0xff, 0xff), 0, 3, out, used), -1);
  stream.reset();
  const packed = deflateRawSync(Buffer.from('again'));
  t.is(stream.push(packed, 0, packed.length, out, used), 1);
  t.is(Buffer.from(out.subarray(0, used[1])).toString(), 'again');
  t.throws(() => stream.push(packed, 0, packed.length + 1, out, used), { instanceOf: RangeError });
  t.throws(() => stream.push(packed, 0, packed.length, new Uint8Array(0), used), { instanceOf: RangeError });
  t.throws(() => stream.push(packed, 0, packed.length, out, new Int32Array(1)), { instanceOf: RangeError });
});
