import { action } from './action.js';

export const msg = action({
  name: 'msg',
  kind: 'metadata',
  argument: 'required',
  help: 'Message of the event; macros are expanded.',
  read(draft, argument) {
    draft.message = argument;
  },
});
