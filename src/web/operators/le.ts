import { operator } from './operator.js';
import { leadingInteger } from './text.js';

export const le = operator({
  name: 'le',
  argument: 'required',
  help: 'The number at the beginning of the value (0 when there is none) is at most the argument.',
  compile: (argument) => {
    const bound = leadingInteger(argument);
    return { match: (value) => leadingInteger(value) <= bound, pure: true };
  },
});
