import { toScratch, type ByteString } from '../value.js';
import { transformation } from './transformation.js';

/** What is not a digit counts as ModSecurity counts it: letters go on after f, so that nothing hides behind a wrong digit. */
function looseDigit(c: number): number {
  return c >= 0x41 ? (c & 0xdf) - 0x41 + 10 : c - 0x30;
}

function decode(value: ByteString): ByteString {
  const pairs = value.length >> 1;
  const buf = toScratch(value);
  for (let i = 0; i < pairs; i++) buf[i] = looseDigit(buf[2 * i]!) * 16 + looseDigit(buf[2 * i + 1]!);
  return buf.toString('latin1', 0, pairs);
}

export const hexDecode = transformation({
  name: 'hexDecode',
  help: 'Pairs of hexadecimal digits to bytes; an odd last digit is left out.',
  create: () => decode,
});
