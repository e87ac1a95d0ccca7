import type { ByteString } from '../value.js';
import { transformation } from './transformation.js';

const LEADING = /^ +/;
const REPLACED = /[ .]/g;

/**
 * The name under which PHP keeps a request parameter: leading blanks go, blanks and dots before the first bracket become
 * underscores, so does a bracket that is never closed, and what stands between indexes is dropped.
 */
function phpName(value: ByteString): ByteString {
  const name = value.replace(LEADING, '');
  const open = name.indexOf('[');
  if (open === 0) return '';
  const head = (open < 0 ? name : name.slice(0, open)).replace(REPLACED, '_');
  if (open < 0) return head;
  let out = head;
  let at = open;
  while (name[at] === '[') {
    // "[ ]" is "[]"
    const empty = name[at + 1] === ' ' && name[at + 2] === ']';
    const close = name.indexOf(']', at + 1);
    if (close < 0) return at === open ? `${out}_${name.slice(at + 1)}` : out;
    out += empty ? '[]' : name.slice(at, close + 1);
    at = close + 1;
  }
  return out;
}

export const phpArgsNames = transformation({
  name: 'phpArgsNames',
  help: 'Names of request parameters as PHP writes them.',
  create: () => phpName,
});
