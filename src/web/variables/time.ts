/** Time of the transaction, in UTC: a rule set gives the same verdicts wherever the appliance stands. */
import type { TransactionState } from '../engine/state.js';
import { numeric, scalar } from './variable.js';

function date(state: TransactionState): Date {
  return new Date(state.started);
}

function two(n: number): string {
  return String(n).padStart(2, '0');
}

export const time = scalar('TIME', 'Time of day as hh:mm:ss.', (s) => date(s).toISOString().slice(11, 19));
export const timeDay = numeric('TIME_DAY', 'Day of the month.', (s) => date(s).getUTCDate());
export const timeEpoch = numeric('TIME_EPOCH', 'Seconds since 1970.', (s) => Math.floor(s.started / 1000));
export const timeHour = scalar('TIME_HOUR', 'Hour, 00 to 23.', (s) => two(date(s).getUTCHours()));
export const timeMin = scalar('TIME_MIN', 'Minute, 00 to 59.', (s) => two(date(s).getUTCMinutes()));
export const timeMon = numeric('TIME_MON', 'Month, 0 to 11.', (s) => date(s).getUTCMonth());
export const timeSec = scalar('TIME_SEC', 'Second, 00 to 59.', (s) => two(date(s).getUTCSeconds()));
export const timeWday = numeric('TIME_WDAY', 'Day of the week, 0 = Sunday.', (s) => date(s).getUTCDay());
export const timeYear = numeric('TIME_YEAR', 'Year.', (s) => date(s).getUTCFullYear());
export const duration = numeric('DURATION', 'Microseconds since the transaction began.', (s) => Math.round((s.clock() - s.started) * 1000), { volatile: true });
