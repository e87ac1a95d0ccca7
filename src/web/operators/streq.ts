import { operator } from './operator.js';
import { wordHint } from './text.js';

export const streq = operator({
  name: 'streq',
  argument: 'optional',
  help: 'The value is the argument.',
  compile: (argument) => ({ match: (value) => value === argument, pure: true, ...wordHint(argument) }),
});
