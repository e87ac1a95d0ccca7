import { Disruptive } from '../rule.js';
import { action } from './action.js';

export const deny = action({
  name: 'deny',
  kind: 'disruptive',
  argument: 'none',
  starterOnly: true,
  help: 'Refuse the request with the status of the rule.',
  read(draft) {
    draft.disruptive = Disruptive.DENY;
  },
});
