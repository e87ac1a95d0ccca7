import { action, integerArgument } from './action.js';

export const id = action({
  name: 'id',
  kind: 'metadata',
  argument: 'required',
  starterOnly: true,
  help: 'Number of the rule; every rule and SecAction needs its own.',
  read(draft, argument) {
    draft.id = integerArgument(argument, 1, 999_999_999);
  },
});
