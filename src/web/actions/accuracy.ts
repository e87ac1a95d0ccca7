import { action, integerArgument } from './action.js';

export const accuracy = action({
  name: 'accuracy',
  kind: 'metadata',
  argument: 'required',
  help: 'How seldom the rule errs, 1 to 9.',
  read(draft, argument) {
    draft.accuracy = integerArgument(argument, 0, 9);
  },
});
