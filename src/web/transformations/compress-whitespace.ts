import { toScratch, type ByteString } from '../value.js';
import { NBSP, isSpace } from './bytes.js';
import { transformation } from './transformation.js';

const TOUCHED = /[\t-\r\xa0]|  /;

function compress(value: ByteString): ByteString {
  if (!TOUCHED.test(value)) return value;
  const end = value.length;
  const buf = toScratch(value);
  let out = 0;
  let inSpace = false;
  for (let i = 0; i < end; i++) {
    const c = buf[i]!;
    if (!isSpace(c) && c !== NBSP) {
      inSpace = false;
      buf[out++] = c;
    } else if (!inSpace) {
      inSpace = true;
      buf[out++] = 0x20;
    }
  }
  return buf.toString('latin1', 0, out);
}

export const compressWhitespace = transformation({
  name: 'compressWhitespace',
  help: 'Runs of white space (and no-break spaces) to one blank.',
  create: () => compress,
});
