import { isXss } from '../libinjection/index.js';
import { operator } from './operator.js';

export const detectXSS = operator({
  name: 'detectXSS',
  argument: 'none',
  help: 'The value runs script when a page shows it.',
  compile: () => ({
    match: (value, state) => {
      if (!isXss(value)) return false;
      state.captureWhole(value);
      return true;
    },
    pure: true,
    // without one of them there is no tag and no attribute
    hint: { kind: 'words', words: ['<', '='] },
  }),
});
