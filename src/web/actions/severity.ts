import { action } from './action.js';

/** Names in order of their numbers. */
export const SEVERITIES = ['EMERGENCY', 'ALERT', 'CRITICAL', 'ERROR', 'WARNING', 'NOTICE', 'INFO', 'DEBUG'] as const;

export const severity = action({
  name: 'severity',
  kind: 'metadata',
  argument: 'required',
  help: 'Severity by number or name: 0 EMERGENCY, 1 ALERT, 2 CRITICAL, 3 ERROR, 4 WARNING, 5 NOTICE, 6 INFO, 7 DEBUG.',
  read(draft, argument) {
    const value = /^[0-7]$/.test(argument) ? Number(argument) : (SEVERITIES as readonly string[]).indexOf(argument.toUpperCase());
    if (value < 0) throw new Error(`'${argument}' is no severity; accepted are 0 to 7 and ${SEVERITIES.join(', ')}`);
    draft.severity = value;
  },
});
