import { operator } from './operator.js';

export const within = operator({
  name: 'within',
  argument: 'optional',
  help: 'The value occurs in the argument; an empty value always does.',
  compile: (argument) => ({ match: (value) => argument.includes(value), pure: true }),
});
