import { action } from './action.js';

export const rev = action({
  name: 'rev',
  kind: 'metadata',
  argument: 'required',
  starterOnly: true,
  help: 'Revision of the rule.',
  read(draft, argument) {
    draft.revision = argument;
  },
});
