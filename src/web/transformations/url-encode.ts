import type { ByteString } from '../value.js';
import { transformation } from './transformation.js';

/** What every byte is written as. */
const WRITTEN = Array.from({ length: 256 }, (_, byte) => {
  const c = String.fromCharCode(byte);
  if (c === ' ') return '+';
  return /[A-Za-z0-9*]/.test(c) ? c : `%${byte.toString(16).padStart(2, '0')}`;
});
const TOUCHED = /[^A-Za-z0-9*]/;

function encode(value: ByteString): ByteString {
  if (!TOUCHED.test(value)) return value;
  let out = '';
  for (let i = 0; i < value.length; i++) out += WRITTEN[value.charCodeAt(i)]!;
  return out;
}

export const urlEncode = transformation({
  name: 'urlEncode',
  help: 'URL encoding of everything but letters, digits and *; blanks to +.',
  create: () => encode,
});
