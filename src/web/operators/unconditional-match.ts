import { operator } from './operator.js';

export const unconditionalMatch = operator({
  name: 'unconditionalMatch',
  argument: 'optional',
  help: 'Matches every value.',
  compile: () => ({ match: () => true, pure: true }),
});
