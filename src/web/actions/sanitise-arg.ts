import { action } from './action.js';

export const sanitiseArg = action({
  name: 'sanitiseArg',
  kind: 'effect',
  argument: 'required',
  help: 'Mask this entry of ARGS in the audit log.',
  read(draft, argument) {
    draft.effects.push({
      run(tx) {
        tx.mask(`ARGS:${argument}`);
      },
    });
  },
});
