import { operator } from './operator.js';
import { wordHint } from './text.js';

export const strmatch = operator({
  name: 'strmatch',
  argument: 'optional',
  help: 'The argument occurs in the value (as contains).',
  compile: (argument) => ({ match: (value) => value.includes(argument), pure: true, ...wordHint(argument) }),
});
