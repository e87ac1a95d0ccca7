import { operator } from './operator.js';

export const noMatch = operator({
  name: 'noMatch',
  argument: 'optional',
  help: 'Matches no value.',
  compile: () => ({ match: () => false, pure: true }),
});
