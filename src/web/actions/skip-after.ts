import { action } from './action.js';

export const skipAfter = action({
  name: 'skipAfter',
  kind: 'flow',
  argument: 'required',
  starterOnly: true,
  help: 'After a match go on behind the SecMarker of this name, or behind the rule of this number.',
  read(draft, argument) {
    draft.skipAfter = argument;
  },
});
