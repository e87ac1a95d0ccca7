import { action } from './action.js';

export const nolog = action({
  name: 'nolog',
  kind: 'data',
  argument: 'none',
  help: 'A match is no event, and no reason for the audit log.',
  read(draft) {
    draft.log = false;
    draft.audit = false;
  },
});
