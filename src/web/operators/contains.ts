import { operator } from './operator.js';
import { wordHint } from './text.js';

export const contains = operator({
  name: 'contains',
  argument: 'optional',
  help: 'The argument occurs in the value.',
  compile: (argument) => ({ match: (value) => value.includes(argument), pure: true, ...wordHint(argument) }),
});
