import { createHash } from 'node:crypto';
import { transformation } from './transformation.js';

export const sha1 = transformation({
  name: 'sha1',
  help: 'The SHA-1 digest as bytes; usually followed by hexEncode.',
  create: () => (value) => createHash('sha1').update(value, 'latin1').digest().toString('latin1'),
});
