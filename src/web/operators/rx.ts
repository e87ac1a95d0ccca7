import { operator } from './operator.js';
import { REGEX_OPTIONS, Regex } from './regex.js';

export const rx = operator({
  name: 'rx',
  argument: 'optional',
  help: 'The regular expression (PCRE2) occurs in the value; captures its groups.',
  compile: (argument, context) => {
    const regex = new Regex(argument, context);
    return {
      match: (value, state) => {
        if (regex.search(value, 0, state) < 0) return false;
        if (state.wantCaptures) regex.capture(value, state);
        return true;
      },
      pure: true,
      hint: { kind: 'regex', expression: argument, options: REGEX_OPTIONS },
    };
  },
});
