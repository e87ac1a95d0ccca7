import { action } from './action.js';

export const sanitiseMatched = action({
  name: 'sanitiseMatched',
  kind: 'effect',
  argument: 'none',
  help: 'Mask the variable that matched in the audit log.',
  read(draft) {
    draft.effects.push({
      run(tx) {
        tx.mask(tx.state.matchedName);
      },
    });
  },
});
