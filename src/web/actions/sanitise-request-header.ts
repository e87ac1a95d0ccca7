import { action } from './action.js';

export const sanitiseRequestHeader = action({
  name: 'sanitiseRequestHeader',
  kind: 'effect',
  argument: 'required',
  help: 'Mask this entry of REQUEST_HEADERS in the audit log.',
  read(draft, argument) {
    draft.effects.push({
      run(tx) {
        tx.mask(`REQUEST_HEADERS:${argument}`);
      },
    });
  },
});
