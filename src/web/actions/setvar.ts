import { leadingInteger } from '../engine/tx-store.js';
import type { Transaction } from '../engine/transaction.js';
import { Macro } from '../macro.js';
import type { Effect } from '../rule.js';
import { lowerAscii } from '../value.js';
import { action, splitAssignment } from './action.js';
import { writableCollection, type WritableCollection } from './writable.js';

/** `setvar:tx.name=value`, `=+n`, `=-n`, `!tx.name`; name and value with macros. */
class SetVar implements Effect {
  readonly #collection: WritableCollection;
  readonly #name: Macro;
  readonly #value: Macro;
  /** 1 add, -1 subtract, 0 set. */
  readonly #sign: -1 | 0 | 1;

  constructor(collection: WritableCollection, name: Macro, value: Macro, sign: -1 | 0 | 1) {
    this.#collection = collection;
    this.#name = name;
    this.#value = value;
    this.#sign = sign;
  }

  run(tx: Transaction): void {
    const name = this.#name.expand(tx.state);
    const value = this.#value.expand(tx.state);
    if (this.#sign === 0) {
      tx.setVariable(this.#collection, name, value);
      return;
    }
    const before = leadingInteger(tx.getVariable(this.#collection, lowerAscii(name)) ?? '');
    // counters never fall below zero, as in ModSecurity v2
    const after = Math.max(0, before + this.#sign * leadingInteger(value));
    tx.setVariable(this.#collection, name, String(after));
    if (this.#collection === 'tx') tx.scored(name, after - before);
  }
}

class UnsetVar implements Effect {
  readonly #collection: WritableCollection;
  readonly #name: Macro;

  constructor(collection: WritableCollection, name: Macro) {
    this.#collection = collection;
    this.#name = name;
  }

  run(tx: Transaction): void {
    tx.unsetVariable(this.#collection, lowerAscii(this.#name.expand(tx.state)));
  }
}

export const setvar = action({
  name: 'setvar',
  kind: 'effect',
  argument: 'required',
  help: 'Write a variable: setvar:tx.name=value, =+number to add, =-number to subtract, !tx.name to remove.',
  read(draft, argument) {
    if (argument.startsWith('!')) {
      const { collection, name } = writableCollection(argument.slice(1).trim());
      draft.effects.push(new UnsetVar(collection, new Macro(name)));
      return;
    }
    const { name: full, value = '1' } = splitAssignment(argument);
    const { collection, name } = writableCollection(full);
    const sign = value.startsWith('+') ? 1 : value.startsWith('-') ? -1 : 0;
    draft.effects.push(new SetVar(collection, new Macro(name), new Macro(sign === 0 ? value : value.slice(1)), sign));
  },
});
