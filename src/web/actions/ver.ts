import { action } from './action.js';

export const ver = action({
  name: 'ver',
  kind: 'metadata',
  argument: 'required',
  help: 'Version of the rule set the rule belongs to.',
  read(draft, argument) {
    draft.version = argument;
  },
});
