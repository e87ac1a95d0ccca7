import { action } from './action.js';

export const capture = action({
  name: 'capture',
  kind: 'data',
  argument: 'none',
  help: 'Keep what the operator matched in TX:0 and its groups in TX:1 to TX:9.',
  read(draft) {
    draft.capture = true;
  },
});
