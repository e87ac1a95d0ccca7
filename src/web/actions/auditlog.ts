import { action } from './action.js';

export const auditlog = action({
  name: 'auditlog',
  kind: 'data',
  argument: 'none',
  help: 'A match puts the transaction into the audit log.',
  read(draft) {
    draft.audit = true;
  },
});
