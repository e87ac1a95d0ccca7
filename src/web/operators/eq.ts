import { operator } from './operator.js';
import { leadingInteger } from './text.js';

export const eq = operator({
  name: 'eq',
  argument: 'required',
  help: 'The number at the beginning of the value (0 when there is none) equals the argument.',
  compile: (argument) => {
    const bound = leadingInteger(argument);
    return { match: (value) => leadingInteger(value) === bound, pure: true };
  },
});
