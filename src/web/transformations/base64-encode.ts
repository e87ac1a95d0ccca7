import { transformation } from './transformation.js';

export const base64Encode = transformation({
  name: 'base64Encode',
  help: 'Base64 (RFC 4648) of the bytes.',
  create: () => (value) => Buffer.from(value, 'latin1').toString('base64'),
});
