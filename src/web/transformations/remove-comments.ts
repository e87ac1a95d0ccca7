import { toScratch, type ByteString } from '../value.js';
import { transformation } from './transformation.js';

const TOUCHED = /\/\*|--|#/;

/**
 * As ModSecurity has it, oddities included: the byte behind a comment is taken over unread (a NUL when there is none), an
 * unfinished comment leaves a blank, and what follows "--" or '#' is gone.
 */
function remove(value: ByteString): ByteString {
  if (!TOUCHED.test(value)) return value;
  const end = value.length;
  const buf = toScratch(value);
  let out = 0;
  let inComment = false;
  for (let i = 0; i < end; ) {
    if (inComment) {
      const closing = buf[i] === 0x2a && value.startsWith('*/', i) ? 2 : buf[i] === 0x2d && value.startsWith('-->', i) ? 3 : 0;
      if (closing === 0) {
        i++;
        continue;
      }
      i += closing;
      buf[out++] = i < end ? buf[i]! : 0;
      i++;
      inComment = false;
    } else if (buf[i] === 0x2f && value.startsWith('/*', i)) {
      inComment = true;
      i += 2;
    } else if (buf[i] === 0x3c && value.startsWith('<!--', i)) {
      inComment = true;
      i += 4;
    } else if (buf[i] === 0x23 || (buf[i] === 0x2d && value.startsWith('--', i))) {
      break;
    } else {
      buf[out++] = buf[i++]!;
    }
  }
  if (inComment) buf[out++] = 0x20;
  return buf.toString('latin1', 0, out);
}

export const removeComments = transformation({
  name: 'removeComments',
  help: 'Removes comments: /* */, <!-- -->, and from -- or # to the end.',
  create: () => remove,
});
