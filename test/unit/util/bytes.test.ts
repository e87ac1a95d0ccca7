import test from 'ava';
import fc from 'fast-check';
import { be16, be32, copyRange, fromHex, le16, le32, putBe16, putBe32, putLe16, putLe32, toHex } from '../../../src/util/index.js';

test('readers and writers agree with DataView', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.integer({ min: -0x80000000, max: 0x7fffffff }), fc.nat({ max: 4 }), (bytes, value, off) => {
      const data = new DataView(bytes.buffer, bytes.byteOffset);
      t.is(be16(bytes, off), data.getUint16(off));
      t.is(be32(bytes, off), data.getInt32(off));
      t.is(le16(bytes, off), data.getUint16(off, true));
      t.is(le32(bytes, off), data.getInt32(off, true));
      putBe32(bytes, off, value);
      t.is(data.getInt32(off), value);
      putLe32(bytes, off, value);
      t.is(data.getInt32(off, true), value);
      putBe16(bytes, off, value);
      t.is(data.getUint16(off), value & 0xffff);
      putLe16(bytes, off, value);
      t.is(data.getUint16(off, true), value & 0xffff);
    }),
  );
});

test('copyRange copies exactly the range', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat({ max: 9 }), fc.nat({ max: 9 }), (bytes, from, to) => {
      const source = new Uint8Array(120);
      source.set(bytes, from);
      const target = new Uint8Array(120).fill(0xa5);
      copyRange(source, from, bytes.length, target, to);
      const want = new Uint8Array(120).fill(0xa5);
      want.set(bytes, to);
      t.deepEqual(target, want);
    }),
  );
});

test('hex', (t) => {
  t.is(toHex(Uint8Array.of(0, 0x0a, 0xff)), '000aff');
  t.deepEqual(fromHex('00:0a FF\n'), Uint8Array.of(0, 10, 255));
  for (const bad of ['0', 'zz', '0x00']) t.throws(() => fromHex(bad), { instanceOf: SyntaxError });
});
