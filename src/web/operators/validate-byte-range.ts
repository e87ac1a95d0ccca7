import type { ByteString } from '../value.js';
import { operator } from './operator.js';
import { leadingInteger } from './text.js';

/** Allowed bytes, 1 each. Text that is no number counts as 0, as ModSecurity reads it. */
function parseRanges(argument: ByteString): Uint8Array {
  const allowed = new Uint8Array(256);
  if (argument === '') return allowed;
  for (const range of argument.split(',')) {
    const [from, to = from] = range.trim().split('-') as [string, string?];
    const low = leadingInteger(from);
    const high = leadingInteger(to);
    if (low > high || high > 255) throw new Error(`"${range}" is not a range of byte values (0-255, low-high)`);
    allowed.fill(1, low, high + 1);
  }
  return allowed;
}

export const validateByteRange = operator({
  name: 'validateByteRange',
  argument: 'optional',
  help: 'Some byte of the value lies outside of the ranges, such as 9,10,32-126.',
  compile: (argument) => {
    const allowed = parseRanges(argument);
    return {
      match: (value) => {
        for (let i = 0; i < value.length; i++) if (allowed[value.charCodeAt(i)] === 0) return true;
        return false;
      },
      pure: true,
    };
  },
});
