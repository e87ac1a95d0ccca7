import { operator } from './operator.js';
import { leadingInteger } from './text.js';

export const lt = operator({
  name: 'lt',
  argument: 'required',
  help: 'The number at the beginning of the value (0 when there is none) is less than the argument.',
  compile: (argument) => {
    const bound = leadingInteger(argument);
    return { match: (value) => leadingInteger(value) < bound, pure: true };
  },
});
