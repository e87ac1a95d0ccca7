/** The three transformations that cut white space off the ends: trim, trimLeft, trimRight. */
import type { ByteString } from '../value.js';
import { isSpace } from './bytes.js';
import { transformation } from './transformation.js';

function leftEnd(value: ByteString): number {
  let i = 0;
  while (i < value.length && isSpace(value.charCodeAt(i))) i++;
  return i;
}

function rightEnd(value: ByteString): number {
  let i = value.length;
  while (i > 0 && isSpace(value.charCodeAt(i - 1))) i--;
  return i;
}

export const trim = transformation({
  name: 'trim',
  help: 'Removes white space from both ends.',
  create: () => (value) => {
    const from = leftEnd(value);
    return value.slice(from, Math.max(from, rightEnd(value)));
  },
});

export const trimLeft = transformation({
  name: 'trimLeft',
  help: 'Removes white space from the beginning.',
  create: () => (value) => value.slice(leftEnd(value)),
});

export const trimRight = transformation({
  name: 'trimRight',
  help: 'Removes white space from the end.',
  create: () => (value) => value.slice(0, rightEnd(value)),
});
