import { toScratch, type ByteString } from '../value.js';
import { foldFullWidth, hexByteAt } from './bytes.js';
import { transformation, type TransformFunction } from './transformation.js';

const TOUCHED = /[%+]/;

function decoder(map: Int16Array | null): TransformFunction {
  return (value: ByteString): ByteString => {
    const first = value.search(TOUCHED);
    if (first < 0) return value;
    const end = value.length;
    const buf = toScratch(value);
    let out = first;
    let changed = false;
    for (let i = first; i < end; ) {
      const c = buf[i]!;
      if (c !== 0x25) {
        changed ||= c === 0x2b;
        buf[out++] = c === 0x2b ? 0x20 : c;
        i++;
        continue;
      }
      const byte = hexByteAt(buf, i + 1, end);
      if (byte >= 0) {
        buf[out++] = byte;
        i += 3;
        continue;
      }
      // %uHHHH of Internet Information Services
      const isUnicode = i + 1 < end && (buf[i + 1]! | 0x20) === 0x75;
      const high = isUnicode ? hexByteAt(buf, i + 2, end) : -1;
      const low = isUnicode ? hexByteAt(buf, i + 4, end) : -1;
      if (isUnicode && (high | low) >= 0) {
        const best = map === null ? -1 : map[(high << 8) | low]!;
        buf[out++] = best >= 0 ? best : foldFullWidth(high, low);
        i += 6;
      } else {
        buf[out++] = c;
        i++;
      }
    }
    return out === end && !changed ? value : buf.toString('latin1', 0, out);
  };
}

export const urlDecodeUni = transformation({
  name: 'urlDecodeUni',
  help: 'URL encoding with %uHHHH: by the unicode map when there is one, otherwise the lower byte.',
  create: (settings) => decoder(settings.unicodeMap),
});
