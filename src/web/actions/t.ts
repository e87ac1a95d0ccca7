import { findTransformation, transformationNames } from '../transformations/registry.js';
import { action } from './action.js';

export const t = action({
  name: 't',
  kind: 'data',
  argument: 'required',
  help: 'A transformation of the value before it is judged; t:none forgets those before it.',
  read(draft, argument) {
    if (argument.toLowerCase() === 'none') draft.transformations.push('none');
    else if (findTransformation(argument) === undefined) throw new Error(`'${argument}' is no transformation; there are none, ${transformationNames().join(', ')}`);
    else draft.transformations.push(argument);
  },
});
