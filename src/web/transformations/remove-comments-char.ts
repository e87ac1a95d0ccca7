import type { ByteString } from '../value.js';
import { transformation } from './transformation.js';

const MARKS = /\/\*|\*\/|<!--|-->|--|#/g;

function remove(value: ByteString): ByteString {
  return value.replace(MARKS, '');
}

export const removeCommentsChar = transformation({
  name: 'removeCommentsChar',
  help: 'Removes the marks of comments and leaves their text: /* */ <!-- --> -- #.',
  create: () => remove,
});
