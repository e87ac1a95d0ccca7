import { action, integerArgument } from './action.js';

export const maturity = action({
  name: 'maturity',
  kind: 'metadata',
  argument: 'required',
  help: 'How long the rule has been in use, 1 to 9.',
  read(draft, argument) {
    draft.maturity = integerArgument(argument, 0, 9);
  },
});
