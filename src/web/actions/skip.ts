import { action, integerArgument } from './action.js';

export const skip = action({
  name: 'skip',
  kind: 'flow',
  argument: 'required',
  starterOnly: true,
  help: 'Skip this many rules after a match; a chain counts as one.',
  read(draft, argument) {
    draft.skip = integerArgument(argument, 1, 100_000);
  },
});
