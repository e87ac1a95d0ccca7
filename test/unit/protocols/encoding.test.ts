import test from 'ava';
import fc from 'fast-check';
import { constants, deflateRawSync } from 'node:zlib';
import { Inflate, INFLATE_END, INFLATE_ERROR, INFLATE_MORE } from '../../../src/util/index.js';
import { Lzma } from '../../../src/protocols/encoding/lzma.js';

class Collector {
  readonly parts: Buffer[] = [];
  size = 0;
  write(buf: Uint8Array, off: number, len: number): boolean {
    this.parts.push(Buffer.from(buf.subarray(off, off + len)));
    this.size += len;
    return this.size < 64 << 20;
  }
  get all(): Buffer {
    return Buffer.concat(this.parts);
  }
}

/** Text with repeats near and far, so that all block types and distances occur. */
const source = fc.tuple(fc.uint8Array({ maxLength: 600 }), fc.array(fc.tuple(fc.nat(3000), fc.nat(400)), { maxLength: 40 })).map(([seed, copies]) => {
  let data = Buffer.from(seed);
  for (const [at, len] of copies) data = Buffer.concat([data, data.subarray(at % (data.length + 1), (at % (data.length + 1)) + len), Buffer.from([len & 255])]);
  return data;
});

test('inflate agrees with zlib for any data, level, strategy and cut', (t) => {
  const strategy = fc.constantFrom(constants.Z_DEFAULT_STRATEGY, constants.Z_HUFFMAN_ONLY, constants.Z_FIXED, constants.Z_RLE);
  fc.assert(
    fc.property(source, fc.integer({ min: 0, max: 9 }), strategy, fc.integer({ min: 1, max: 700 }), (data, level, how, step) => {
      const packed = deflateRawSync(data, { level, strategy: how });
      const out = new Collector();
      const inflate = new Inflate(out);
      let result: number = INFLATE_MORE;
      for (let i = 0; i < packed.length; i += step) result = inflate.push(packed, i, Math.min(packed.length, i + step));
      t.is(result, INFLATE_END);
      t.true(out.all.equals(data));
    }),
    { numRuns: 200 },
  );
});

test('inflate over more than its window', (t) => {
  const data = Buffer.alloc(300000);
  for (let i = 0; i < data.length; i++) data[i] = (i * i) >> (i >> 13);
  const out = new Collector();
  t.is(new Inflate(out).push(deflateRawSync(data), 0, deflateRawSync(data).length), INFLATE_END);
  t.true(out.all.equals(data));
});

test('truncated data gives what is there; bytes behind the end are not taken', (t) => {
  const data = Buffer.from('abcdefgh'.repeat(50));
  const packed = deflateRawSync(data);
  const out = new Collector();
  t.is(new Inflate(out).push(packed, 0, packed.length - 4), INFLATE_MORE);
  t.true(data.subarray(0, out.size).equals(out.all));
  const inflate = new Inflate(new Collector());
  const more = Buffer.concat([packed, Buffer.from('trailer!')]);
  t.is(inflate.push(more, 0, more.length), INFLATE_END);
  t.is(inflate.consumed, packed.length);
});

test('fuzz: mutated and random data neither throws nor runs away', (t) => {
  fc.assert(
    fc.property(source, fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 6 }), fc.integer({ min: 1, max: 400 }), (data, edits, step) => {
      const packed = Buffer.from(deflateRawSync(data));
      for (const [at, value] of edits) if (packed.length > 0) packed[at % packed.length] = value;
      const out = new Collector();
      const inflate = new Inflate(out);
      for (let i = 0; i < packed.length; i += step) if (inflate.push(packed, i, Math.min(packed.length, i + step)) !== INFLATE_MORE) break;
      t.true(out.size <= packed.length * 1100);
    }),
    { numRuns: 300 },
  );
  t.is(new Inflate(new Collector()).push(Uint8Array.of(7), 0, 1), INFLATE_ERROR);
});

/** Made with the reference encoder (the xz library, lzma-alone format): 200 times "0123456789abcdef", then "the end". */
const LZMA = Buffer.from('XQAAgAD//////////wAYDEKSame8DtEzLOTMQinAnEqPfv+2/s8LLcoiySzEzNGQ6G31D8sS1h4VirSw1f/3EYAA', 'base64');
const PLAIN = '0123456789abcdef'.repeat(200) + 'the end';

test('lzma: reference data in any cut', (t) => {
  for (const step of [LZMA.length, 1, 5, 17, 64]) {
    const out = new Collector();
    const lzma = new Lzma(out);
    for (let i = 0; i < LZMA.length; i += step) lzma.push(LZMA, i, Math.min(LZMA.length, i + step));
    lzma.finish();
    t.is(out.all.toString(), PLAIN, `pieces of ${step}`);
  }
});

test('fuzz: mutated lzma neither throws nor runs away', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }), fc.integer({ min: 1, max: 80 }), (edits, step) => {
      const data = Buffer.from(LZMA);
      for (const [at, value] of edits) data[at % data.length] = value;
      const out = new Collector();
      const lzma = new Lzma(out);
      for (let i = 0; i < data.length; i += step) lzma.push(data, i, Math.min(data.length, i + step));
      lzma.finish();
      t.true(out.size < 1 << 20);
    }),
    { numRuns: 300 },
  );
});
