import { decodeBase64 } from './base64.js';
import { transformation } from './transformation.js';

export const base64Decode = transformation({
  name: 'base64Decode',
  help: 'Base64 to bytes, up to the first byte outside the alphabet.',
  create: () => (value) => (value === '' ? value : decodeBase64(value, false)),
});
