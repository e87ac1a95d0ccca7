import { MAX_CAPTURES, operator } from './operator.js';
import { REGEX_OPTIONS, Regex } from './regex.js';

/** Searches per value: an expression that matches the empty string would be tried at every byte. */
const MAX_ROUNDS = 100;

export const rxGlobal = operator({
  name: 'rxGlobal',
  argument: 'optional',
  help: 'As rx, and captures the groups of all occurrences one after another.',
  compile: (argument, context) => {
    const regex = new Regex(argument, context);
    return {
      match: (value, state) => {
        let at = regex.search(value, 0, state);
        if (at < 0) return false;
        if (!state.wantCaptures) return true;
        regex.capture(value, state);
        for (let round = 0; round < MAX_ROUNDS && state.captureCount < MAX_CAPTURES; round++) {
          const { end } = regex;
          const from = end > at ? end : end + 1;
          if (from >= value.length) break;
          at = regex.search(value, from, state);
          if (at < 0) break;
          // an empty occurrence counts only when it is the first
          if (regex.end > at) regex.capture(value, state);
        }
        return true;
      },
      pure: true,
      hint: { kind: 'regex', expression: argument, options: REGEX_OPTIONS },
    };
  },
});
