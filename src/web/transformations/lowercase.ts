import { lowerAscii } from '../value.js';
import { transformation } from './transformation.js';

export const lowercase = transformation({
  name: 'lowercase',
  help: 'ASCII letters to lower case.',
  create: () => lowerAscii,
});
