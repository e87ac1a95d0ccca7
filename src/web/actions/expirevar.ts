import { leadingInteger } from '../engine/tx-store.js';
import { Macro } from '../macro.js';
import { lowerAscii } from '../value.js';
import { action, splitAssignment } from './action.js';
import { writableCollection } from './writable.js';

export const expirevar = action({
  name: 'expirevar',
  kind: 'effect',
  argument: 'required',
  help: 'Let a persistent variable vanish after so many seconds: expirevar:ip.blocked=60.',
  read(draft, argument) {
    const { name: full, value = '' } = splitAssignment(argument);
    const { collection, name } = writableCollection(full);
    if (value === '') throw new Error(`'${argument}' names no seconds; write collection.name=seconds`);
    if (collection === 'tx') throw new Error('variables of tx end with the transaction; only persistent ones expire');
    const nameMacro = new Macro(name);
    const seconds = new Macro(value);
    draft.effects.push({
      run(tx) {
        const { state } = tx;
        const after = Math.max(0, leadingInteger(seconds.expand(state))) * 1000;
        state.records.get(collection)?.expire(lowerAscii(nameMacro.expand(state)), state.clock() + after);
      },
    });
  },
});
