import { operator } from './operator.js';
import { wordHint } from './text.js';

export const beginsWith = operator({
  name: 'beginsWith',
  argument: 'optional',
  help: 'The value begins with the argument.',
  compile: (argument) => ({ match: (value) => value.startsWith(argument), pure: true, ...wordHint(argument) }),
});
