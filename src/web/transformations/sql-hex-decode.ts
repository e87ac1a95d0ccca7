import { toScratch, type ByteString } from '../value.js';
import { hexByteAt } from './bytes.js';
import { transformation } from './transformation.js';

function decode(value: ByteString): ByteString {
  if (!value.includes('0x') && !value.includes('0X')) return value;
  const end = value.length;
  const buf = toScratch(value);
  let out = 0;
  let i = 0;
  while (i < end) {
    const isPrefix = buf[i] === 0x30 && i + 1 < end && (buf[i + 1]! | 0x20) === 0x78 && hexByteAt(buf, i + 2, end) >= 0;
    if (!isPrefix) {
      buf[out++] = buf[i++]!;
      continue;
    }
    i += 2;
    for (let byte = hexByteAt(buf, i, end); byte >= 0; byte = hexByteAt(buf, i, end)) {
      buf[out++] = byte;
      i += 2;
    }
  }
  return out === end ? value : buf.toString('latin1', 0, out);
}

export const sqlHexDecode = transformation({
  name: 'sqlHexDecode',
  help: 'Hexadecimal literals of SQL (0x414243) to the bytes they stand for.',
  create: () => decode,
});
