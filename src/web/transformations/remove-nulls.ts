import { transformation } from './transformation.js';

export const removeNulls = transformation({
  name: 'removeNulls',
  help: 'Removes NUL bytes.',
  create: () => (value) => (value.includes('\0') ? value.replaceAll('\0', '') : value),
});
