import { action } from './action.js';

export const logdata = action({
  name: 'logdata',
  kind: 'metadata',
  argument: 'required',
  help: 'Data of the event; macros are expanded.',
  read(draft, argument) {
    draft.data = argument;
  },
});
