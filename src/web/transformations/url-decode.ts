import { toScratch, type ByteString } from '../value.js';
import { hexByteAt } from './bytes.js';
import { transformation } from './transformation.js';

const TOUCHED = /[%+]/;

function decode(value: ByteString): ByteString {
  const first = value.search(TOUCHED);
  if (first < 0) return value;
  const end = value.length;
  const buf = toScratch(value);
  let out = first;
  let changed = false;
  for (let i = first; i < end; ) {
    const c = buf[i]!;
    const byte = c === 0x25 ? hexByteAt(buf, i + 1, end) : -1;
    if (byte >= 0) {
      buf[out++] = byte;
      i += 3;
    } else {
      changed ||= c === 0x2b;
      buf[out++] = c === 0x2b ? 0x20 : c;
      i++;
    }
  }
  return out === end && !changed ? value : buf.toString('latin1', 0, out);
}

export const urlDecode = transformation({
  name: 'urlDecode',
  help: 'URL encoding: %HH and + for a blank; what is no valid encoding stays.',
  create: () => decode,
});
