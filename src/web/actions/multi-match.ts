import { action } from './action.js';

export const multiMatch = action({
  name: 'multiMatch',
  kind: 'data',
  argument: 'none',
  help: 'Judge the value before the transformations and after each that changes it.',
  read(draft) {
    draft.multiMatch = true;
  },
});
