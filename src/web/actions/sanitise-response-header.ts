import { action } from './action.js';

export const sanitiseResponseHeader = action({
  name: 'sanitiseResponseHeader',
  kind: 'effect',
  argument: 'required',
  help: 'Mask this entry of RESPONSE_HEADERS in the audit log.',
  read(draft, argument) {
    draft.effects.push({
      run(tx) {
        tx.mask(`RESPONSE_HEADERS:${argument}`);
      },
    });
  },
});
