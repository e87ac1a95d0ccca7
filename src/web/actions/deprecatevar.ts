import { leadingInteger } from '../engine/tx-store.js';
import { Macro } from '../macro.js';
import { lowerAscii } from '../value.js';
import { action, splitAssignment } from './action.js';
import { writableCollection } from './writable.js';

export const deprecatevar = action({
  name: 'deprecatevar',
  kind: 'effect',
  argument: 'required',
  help: 'Let a persistent counter fall with time: deprecatevar:session.score=60/300 takes 60 off for every 300 seconds.',
  read(draft, argument) {
    const { name: full, value = '' } = splitAssignment(argument);
    const { collection, name } = writableCollection(full);
    const rate = /^(\d+)\/(\d+)$/.exec(value);
    if (rate === null || Number(rate[2]) === 0) throw new Error(`'${value}' is no rate; write amount/seconds`);
    if (collection === 'tx') throw new Error('variables of tx end with the transaction; only persistent ones are deprecated');
    const nameMacro = new Macro(name);
    const amount = Number(rate[1]);
    const seconds = Number(rate[2]);
    draft.effects.push({
      run(tx) {
        const { state } = tx;
        const record = state.records.get(collection);
        if (record === undefined) return;
        const key = nameMacro.expand(state);
        const current = record.get(lowerAscii(key), state.clock());
        if (current === undefined) return;
        const periods = Math.floor((state.clock() - record.lastUpdate) / (seconds * 1000));
        if (periods > 0) tx.setVariable(collection, key, String(Math.max(0, leadingInteger(current) - periods * amount)));
      },
    });
  },
});
