import { Disruptive } from '../rule.js';
import { action } from './action.js';

export const allow = action({
  name: 'allow',
  kind: 'disruptive',
  argument: 'optional',
  starterOnly: true,
  help: 'Judge no further: for the rest of the transaction, of the phase (allow:phase) or of the request (allow:request).',
  read(draft, argument) {
    const scope = argument === '' ? 'transaction' : argument.toLowerCase();
    if (scope !== 'transaction' && scope !== 'phase' && scope !== 'request') throw new Error(`'${argument}' is not accepted; write allow, allow:phase or allow:request`);
    draft.disruptive = Disruptive.ALLOW;
    draft.allowScope = scope;
  },
});
