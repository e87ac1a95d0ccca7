import type { PhaseNumber } from '../variables/variable.js';
import { action } from './action.js';

const PHASES: Readonly<Record<string, PhaseNumber>> = { 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, request: 2, response: 4, logging: 5 };

export const phase = action({
  name: 'phase',
  kind: 'metadata',
  argument: 'required',
  starterOnly: true,
  help: 'Phase in which the rule runs: 1 request head, 2 (request) request body, 3 response head, 4 (response) response body, 5 (logging).',
  read(draft, argument) {
    const value = PHASES[argument.toLowerCase()];
    if (value === undefined) throw new Error(`'${argument}' is no phase; accepted are 1 to 5, request, response and logging`);
    draft.phase = value;
  },
});
