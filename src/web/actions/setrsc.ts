import { Macro } from '../macro.js';
import { action } from './action.js';

export const setrsc = action({
  name: 'setrsc',
  kind: 'effect',
  argument: 'required',
  help: 'Name the resource and open its persistent record.',
  read(draft, argument) {
    const key = new Macro(argument);
    draft.effects.push({
      run(tx) {
        tx.state.resourceId = key.expand(tx.state);
        tx.openRecord('resource', tx.state.resourceId);
      },
    });
  },
});
