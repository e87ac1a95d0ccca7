import { action } from './action.js';

export const noauditlog = action({
  name: 'noauditlog',
  kind: 'data',
  argument: 'none',
  help: 'A match alone does not put the transaction into the audit log.',
  read(draft) {
    draft.audit = false;
  },
});
