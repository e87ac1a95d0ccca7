import { Macro } from '../macro.js';
import { action, splitAssignment } from './action.js';

export const setenv = action({
  name: 'setenv',
  kind: 'effect',
  argument: 'required',
  help: 'Write a variable of ENV, seen by later rules of the transaction.',
  read(draft, argument) {
    const { name, value = '1' } = splitAssignment(argument);
    if (name === '') throw new Error(`'${argument}' names no variable; write name=value`);
    const nameMacro = new Macro(name);
    const valueMacro = new Macro(value);
    draft.effects.push({
      run(tx) {
        tx.state.env.set(nameMacro.expand(tx.state), valueMacro.expand(tx.state));
      },
    });
  },
});
