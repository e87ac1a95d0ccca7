import { Disruptive } from '../rule.js';
import { action } from './action.js';

export const drop = action({
  name: 'drop',
  kind: 'disruptive',
  argument: 'none',
  starterOnly: true,
  help: 'Reset the connection.',
  read(draft) {
    draft.disruptive = Disruptive.DROP;
  },
});
