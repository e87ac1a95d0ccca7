import { Macro } from '../macro.js';
import { action } from './action.js';

export const setsid = action({
  name: 'setsid',
  kind: 'effect',
  argument: 'required',
  help: 'Name the session and open its persistent record.',
  read(draft, argument) {
    const key = new Macro(argument);
    draft.effects.push({
      run(tx) {
        tx.state.sessionId = key.expand(tx.state);
        tx.openRecord('session', tx.state.sessionId);
      },
    });
  },
});
