import { transformation } from './transformation.js';

export const length = transformation({
  name: 'length',
  help: 'The number of bytes as a decimal number.',
  create: () => (value) => String(value.length),
});
