import { decodeBase64 } from './base64.js';
import { transformation } from './transformation.js';

export const base64DecodeExt = transformation({
  name: 'base64DecodeExt',
  help: 'Base64 to bytes as lenient decoders (PHP) do it: bytes outside the alphabet are passed over.',
  create: () => (value) => (value === '' ? value : decodeBase64(value, true)),
});
