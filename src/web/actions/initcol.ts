import { Macro } from '../macro.js';
import { action, splitAssignment } from './action.js';
import { isPersistent } from './writable.js';

export const initcol = action({
  name: 'initcol',
  kind: 'effect',
  argument: 'required',
  help: 'Open the record of a persistent collection: initcol:ip=%{REMOTE_ADDR}.',
  read(draft, argument) {
    const { name, value = '' } = splitAssignment(argument);
    const collection = name.toLowerCase();
    if (!isPersistent(collection) || value === '') throw new Error(`'${argument}' is not accepted; write ip, global, resource, session or user = key`);
    const key = new Macro(value);
    draft.effects.push({
      run(tx) {
        tx.openRecord(collection, key.expand(tx.state));
      },
    });
  },
});
