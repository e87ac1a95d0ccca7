/** The native literal search against the obvious one. */
import test from 'ava';
import fc from 'fast-check';
import { Literal } from '@drawbridge/native';

function naive(hay: Uint8Array, off: number, len: number, needle: Uint8Array, nocase: boolean): number {
  const text = Buffer.from(hay.subarray(off, off + len)).toString('latin1');
  const want = Buffer.from(needle).toString('latin1');
  const fold = (s: string): string => s.replace(/[A-Z]/g, (c) => c.toLowerCase());
  return nocase ? fold(text).indexOf(fold(want)) : text.indexOf(want);
}

test('finds what the obvious search finds, at every length around the block size', (t) => {
  // Few letters, so that candidates are frequent; both cases and bytes that differ from letters only in bit 5.
  const byte = fc.constantFrom(...Buffer.from('aAbB@`[{\0\xff', 'latin1'));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 300 }), fc.array(byte, { minLength: 1, maxLength: 5 }), fc.nat(8), fc.boolean(), (hay, needle, off, nocase) => {
      const buf = Uint8Array.from(hay);
      const from = Math.min(off, buf.length);
      const bytes = Uint8Array.from(needle);
      t.is(new Literal(bytes, nocase).find(buf, from, buf.length - from), naive(buf, from, buf.length - from, bytes, nocase));
    }),
  );
});

test('an occurrence that ends with the window counts, one that crosses it does not', (t) => {
  const buf = Buffer.from(`${'x'.repeat(500)}needle`);
  const literal = new Literal(Buffer.from('needle'), false);
  t.is(literal.find(buf, 0, buf.length), 500);
  t.is(literal.find(buf, 0, buf.length - 1), -1);
  t.is(literal.find(buf, 100, buf.length - 100), 400);
  t.is(literal.find(buf, 501, buf.length - 501), -1);
});

test('bad arguments are refused', (t) => {
  t.throws(() => new Literal(new Uint8Array(0), false), { instanceOf: RangeError });
  t.throws(() => new Literal('abc' as unknown as Uint8Array, false), { instanceOf: TypeError });
  t.throws(() => new Literal(Uint8Array.of(1), 1 as unknown as boolean), { instanceOf: TypeError });
  const literal = new Literal(Uint8Array.of(1), false);
  t.throws(() => literal.find(new Uint8Array(4), 2, 3), { instanceOf: RangeError });
});
