import { Macro } from '../macro.js';
import { action } from './action.js';

export const setuid = action({
  name: 'setuid',
  kind: 'effect',
  argument: 'required',
  help: 'Name the user and open its persistent record.',
  read(draft, argument) {
    const key = new Macro(argument);
    draft.effects.push({
      run(tx) {
        tx.state.userId = key.expand(tx.state);
        tx.openRecord('user', tx.state.userId);
      },
    });
  },
});
