/** Parameters of query and body. */
import type { EntryList } from '../engine/entry-list.js';
import type { TransactionState } from '../engine/state.js';
import { collection, numeric } from './variable.js';

function eachArgument(state: TransactionState, use: (name: string, value: string) => void): void {
  for (const list of [state.argsGet, state.argsPost]) for (let i = 0; i < list.size; i++) use(list.names[i]!, list.values[i]!);
}

function addNames(source: EntryList, out: EntryList): void {
  for (let i = 0; i < source.size; i++) out.add(source.names[i]!, source.names[i]!);
}

export const args = collection({
  name: 'ARGS',
  help: 'Parameters of the query and, from phase 2 on, of the body.',
  changesAt: [2],
  fill(state, list) {
    eachArgument(state, (name, value) => list.add(name, value));
  },
});
export const argsNames = collection({
  name: 'ARGS_NAMES',
  help: 'Names of all parameters.',
  changesAt: [2],
  fill(state, list) {
    eachArgument(state, (name) => list.add(name, name));
  },
});
export const argsGet = collection({ name: 'ARGS_GET', help: 'Parameters of the query.', fill: () => undefined, direct: (s) => s.argsGet });
export const argsGetNames = collection({
  name: 'ARGS_GET_NAMES',
  help: 'Names of the parameters of the query.',
  fill: (state, list) => addNames(state.argsGet, list),
});
export const argsPost = collection({ name: 'ARGS_POST', help: 'Parameters of the body.', fill: () => undefined, direct: (s) => s.argsPost });
export const argsPostNames = collection({
  name: 'ARGS_POST_NAMES',
  help: 'Names of the parameters of the body.',
  changesAt: [2],
  fill: (state, list) => addNames(state.argsPost, list),
});
export const argsCombinedSize = numeric(
  'ARGS_COMBINED_SIZE',
  'Bytes of all parameter names and values together.',
  (state) => {
    let size = 0;
    eachArgument(state, (name, value) => {
      size += name.length + value.length;
    });
    return size;
  },
  { changesAt: [2] },
);
