import { Disruptive } from '../rule.js';
import { action } from './action.js';

export const pass = action({
  name: 'pass',
  kind: 'disruptive',
  argument: 'none',
  starterOnly: true,
  help: 'Go on after a match.',
  read(draft) {
    draft.disruptive = Disruptive.PASS;
  },
});
