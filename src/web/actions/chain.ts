import { action } from './action.js';

export const chain = action({
  name: 'chain',
  kind: 'flow',
  argument: 'none',
  help: 'The next rule has to match as well.',
  read(draft) {
    draft.chain = true;
  },
});
