import test from 'ava';
import * as fc from 'fast-check';
import { adviseHugePages, checksum } from '@drawbridge/native';

/** RFC 1071 section 4.1, word by word. */
function naive(bytes: Uint8Array, off: number, len: number, initial: number): number {
  let sum = initial;
  for (let i = 0; i < len; i += 2) sum += (bytes[off + i] << 8) | (i + 1 < len ? bytes[off + i + 1] : 0);
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return sum;
}

test('the worked example of RFC 1071 section 3', (t) => {
  t.is(checksum(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8, 0), 0xddf2);
});

test('an IPv4 header with its checksum in place sums to all ones', (t) => {
  const header = Uint8Array.from(Buffer.from('45000073000040004011b861c0a80001c0a800c7', 'hex'));
  t.is(checksum(header, 0, 20, 0), 0xffff);
});

test('any window of any bytes equals the naive sum', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 700 }),
      fc.nat(700),
      fc.nat(700),
      fc.integer({ min: 0, max: 0xffffffff }),
      (bytes, a, b, initial) => {
        const off = Math.min(a, bytes.length);
        const len = Math.min(b, bytes.length - off);
        return checksum(bytes, off, len, initial) === naive(bytes, off, len, initial);
      },
    ),
    { numRuns: 3000 },
  );
  t.pass();
});

test('all ones over 64 KiB, where carries are most', (t) => {
  const bytes = new Uint8Array(65536 + 3).fill(0xff);
  for (const off of [0, 1, 2, 3]) {
    for (const len of [65535, 65536]) t.is(checksum(bytes, off, len, 0xffffffff), naive(bytes, off, len, 0xffffffff));
  }
});

test('a view on a SharedArrayBuffer, and a sum added in pieces', (t) => {
  const bytes = new Uint8Array(new SharedArrayBuffer(4096), 100, 1000);
  for (let i = 0; i < bytes.length; i++) bytes[i] = i * 31;
  t.is(checksum(bytes, 400, 600, checksum(bytes, 0, 400, 0)), naive(bytes, 0, 1000, 0));
});

test('adviseHugePages takes any view and refuses what holds no whole page', (t) => {
  t.is(typeof adviseHugePages(new Int32Array(new SharedArrayBuffer(8 << 20))), 'boolean');
  t.is(typeof adviseHugePages(new DataView(new ArrayBuffer(4 << 20))), 'boolean');
  t.false(adviseHugePages(new Uint8Array(16)));
  t.throws(() => adviseHugePages({} as Uint8Array), { instanceOf: TypeError });
});
