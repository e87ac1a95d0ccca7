import { createHash } from 'node:crypto';
import { transformation } from './transformation.js';

export const md5 = transformation({
  name: 'md5',
  help: 'The MD5 digest as bytes; usually followed by hexEncode.',
  create: () => (value) => createHash('md5').update(value, 'latin1').digest().toString('latin1'),
});
