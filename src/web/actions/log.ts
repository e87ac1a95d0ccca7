import { action } from './action.js';

export const log = action({
  name: 'log',
  kind: 'data',
  argument: 'none',
  help: 'A match is an event.',
  read(draft) {
    draft.log = true;
    draft.audit = true;
  },
});
