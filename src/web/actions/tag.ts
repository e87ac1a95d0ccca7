import { action } from './action.js';

export const tag = action({
  name: 'tag',
  kind: 'metadata',
  argument: 'required',
  help: 'A label of the rule, for events and for exclusions by tag.',
  read(draft, argument) {
    draft.tags.push(argument);
  },
});
