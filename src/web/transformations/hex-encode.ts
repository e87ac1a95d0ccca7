import { transformation } from './transformation.js';

export const hexEncode = transformation({
  name: 'hexEncode',
  help: 'Every byte as two hexadecimal digits in lower case.',
  create: () => (value) => Buffer.from(value, 'latin1').toString('hex'),
});
