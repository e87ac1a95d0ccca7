/** Schedules: 168 hours of the week, each on or off, from Sunday 0:00 (Deep Security's form), or spans in words. */
import type { Schedule } from '../model.js';
import { asMap, show, type Path, type Problems } from './problems.js';

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const HOURS = 168;
const SPAN = /^([a-z]{3})(?:\s*-\s*([a-z]{3}))?(?:\s+(\d{1,2})(?::00)?\s*-\s*(\d{1,2})(?::00)?)?$/;
const ACCEPTED = '168 booleans from Sunday 0:00, or spans as "mon-fri 8-18", "sat", "fri 22-6" (whole hours, the end not included)';

/** 1970-01-01 0:00 was a Thursday. */
const EPOCH_HOUR = 4 * 24;

/** Hour of the week, 0 = Sunday 0:00, of a time in seconds since the epoch. */
export function hourOfWeek(seconds: number): number {
  return (((Math.floor(seconds / 3600) + EPOCH_HOUR) % HOURS) + HOURS) % HOURS;
}

/** A list of spans or booleans, or `{ hours: ..., utc_offset: "+02:00" }`. Problems are reported; then the result is undefined. */
export function parseSchedule(name: string, value: unknown, path: Path, problems: Problems): Schedule | undefined {
  const map = asMap(value);
  const hours = map === undefined ? parseHours(value, path, problems) : parseHours(map['hours'], [...path, 'hours'], problems);
  const offset = parseOffset(map?.['utc_offset'] ?? '+00:00', [...path, 'utc_offset'], problems);
  return hours === undefined || offset === undefined ? undefined : { name, hours, utcOffset: offset };
}

function parseHours(value: unknown, path: Path, problems: Problems): Uint8Array | undefined {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (items.length === HOURS && items.every((v) => typeof v === 'boolean')) return Uint8Array.from(items, (v) => (v ? 1 : 0));
  const hours = new Uint8Array(HOURS);
  let ok = items.length > 0;
  if (!ok) problems.error(path, `an empty schedule is never on; accepted: ${ACCEPTED}`);
  items.forEach((item, i) => {
    if (typeof item === 'string' && addSpan(hours, item.trim().toLowerCase())) return;
    ok = false;
    problems.error(Array.isArray(value) ? [...path, i] : path, `${show(item)} is not a span of hours; accepted: ${ACCEPTED}`);
  });
  return ok ? hours : undefined;
}

function addSpan(hours: Uint8Array, text: string): boolean {
  const m = SPAN.exec(text);
  if (m === null) return false;
  const first = DAYS.indexOf(m[1]!);
  const last = DAYS.indexOf(m[2] ?? m[1]!);
  const start = Number(m[3] ?? 0);
  const end = Number(m[4] ?? 24);
  if (first < 0 || last < 0 || start > 23 || end > 24 || start === end) return false;
  // "fri 22-6" runs into Saturday; "sat-mon" runs over the end of the week.
  const length = end > start ? end - start : end + 24 - start;
  for (let day = first; ; day = (day + 1) % 7) {
    for (let h = 0; h < length; h++) hours[(day * 24 + start + h) % HOURS] = 1;
    if (day === last) return true;
  }
}

function parseOffset(value: unknown, path: Path, problems: Problems): number | undefined {
  const m = typeof value === 'string' ? /^([+-])(\d{2}):(\d{2})$/.exec(value) : null;
  if (m === null || Number(m[2]) > 14 || Number(m[3]) > 59) {
    problems.error(path, `${show(value)} is not an offset from UTC; accepted: +02:00, -05:30`);
    return undefined;
  }
  return (m[1] === '-' ? -1 : 1) * (Number(m[2]) * 3600 + Number(m[3]) * 60);
}
