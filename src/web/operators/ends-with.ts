import { operator } from './operator.js';
import { wordHint } from './text.js';

export const endsWith = operator({
  name: 'endsWith',
  argument: 'optional',
  help: 'The value ends with the argument.',
  compile: (argument) => ({ match: (value) => value.endsWith(argument), pure: true, ...wordHint(argument) }),
});
