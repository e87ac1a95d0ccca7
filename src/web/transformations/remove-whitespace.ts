import type { ByteString } from '../value.js';
import { transformation } from './transformation.js';

const WHITESPACE = /[\t-\r \xa0]+/g;

function remove(value: ByteString): ByteString {
  return value.replace(WHITESPACE, '');
}

export const removeWhitespace = transformation({
  name: 'removeWhitespace',
  help: 'Removes white space (and no-break spaces).',
  create: () => remove,
});
