import { action } from './action.js';

export const sanitiseMatchedBytes = action({
  name: 'sanitiseMatchedBytes',
  kind: 'effect',
  argument: 'optional',
  help: 'Mask the variable that matched in the audit log; the whole of it, not only the bytes the operator found.',
  read(draft, argument) {
    if (argument !== '' && !/^\d+\/\d+$/.test(argument)) throw new Error(`'${argument}' is not accepted; write bytes/bytes`);
    draft.effects.push({
      run(tx) {
        tx.mask(tx.state.matchedName);
      },
    });
  },
});
