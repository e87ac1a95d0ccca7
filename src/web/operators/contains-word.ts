import type { ByteString } from '../value.js';
import { operator } from './operator.js';
import { wordHint } from './text.js';

/** Letters, digits and the underscore are inside words; so nothing behind the end (NaN) is. */
function isWordByte(c: number): boolean {
  const lower = c | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (c >= 0x30 && c <= 0x39) || c === 0x5f;
}

function occursAsWord(value: ByteString, word: ByteString): boolean {
  for (let at = value.indexOf(word); at >= 0; at = value.indexOf(word, at + 1)) {
    if (!isWordByte(value.charCodeAt(at - 1)) && !isWordByte(value.charCodeAt(at + word.length))) return true;
  }
  return false;
}

export const containsWord = operator({
  name: 'containsWord',
  argument: 'optional',
  help: 'The argument occurs in the value with no letter, digit or underscore on either side.',
  compile: (argument) => ({ match: (value) => argument === '' || occursAsWord(value, argument), pure: true, ...wordHint(argument) }),
});
