import { transformation } from './transformation.js';

export const replaceNulls = transformation({
  name: 'replaceNulls',
  help: 'NUL bytes to blanks.',
  create: () => (value) => (value.includes('\0') ? value.replaceAll('\0', ' ') : value),
});
