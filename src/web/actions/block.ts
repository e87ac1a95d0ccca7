import { Disruptive } from '../rule.js';
import { action } from './action.js';

export const block = action({
  name: 'block',
  kind: 'disruptive',
  argument: 'none',
  starterOnly: true,
  help: 'Do what SecDefaultAction of the phase says.',
  read(draft) {
    draft.disruptive = Disruptive.BLOCK;
  },
});
