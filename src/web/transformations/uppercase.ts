import { toScratch, type ByteString } from '../value.js';
import { transformation } from './transformation.js';

const LOWER = /[a-z]/;

function upper(value: ByteString): ByteString {
  if (!LOWER.test(value)) return value;
  const length = value.length;
  const buf = toScratch(value);
  for (let i = 0; i < length; i++) {
    const c = buf[i]!;
    if (c >= 0x61 && c <= 0x7a) buf[i] = c - 0x20;
  }
  return buf.toString('latin1', 0, length);
}

export const uppercase = transformation({
  name: 'uppercase',
  help: 'ASCII letters to upper case.',
  create: () => upper,
});
