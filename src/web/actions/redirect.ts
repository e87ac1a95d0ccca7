import { Disruptive } from '../rule.js';
import { action } from './action.js';

export const redirect = action({
  name: 'redirect',
  kind: 'disruptive',
  argument: 'required',
  starterOnly: true,
  help: 'Answer with a redirection to the address; macros are expanded.',
  read(draft, argument) {
    draft.disruptive = Disruptive.REDIRECT;
    draft.redirect = argument;
  },
});
