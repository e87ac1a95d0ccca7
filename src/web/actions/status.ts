import { action, integerArgument } from './action.js';

export const status = action({
  name: 'status',
  kind: 'data',
  argument: 'required',
  help: 'HTTP status of deny and redirect.',
  read(draft, argument) {
    draft.status = integerArgument(argument, 100, 599);
  },
});
