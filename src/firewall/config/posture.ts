/** A policy's `posture` and `hygiene` sections. */
import { Hygiene, HYGIENE_DEFAULT, HYGIENE_SWITCHES, type HygieneConfig, type HygieneSwitch } from '../hygiene.js';
import { CHECK_ACTION_NAMES, POSTURE_CHECKS, POSTURE_MODES, postureOf, type CheckAction, type PostureCheckName, type PostureConfig, type PostureMode } from '../posture.js';
import { asMap, Problems, show, type Path } from './problems.js';
import { flag, rejectUnknownKeys } from './rule.js';

/** Deep Security's floor. */
export const DEFAULT_MIN_MSS = 128;
const MAX_PAWS_WINDOW = 86_400_000;
const CHECK_NAMES = POSTURE_CHECKS.map(([name]) => name);

/** A mode as text, or `{ mode, checks, paws_window }`. `base`: of the policy this one extends. */
export function parsePosture(value: unknown, base: PostureConfig | undefined, path: Path, problems: Problems): PostureConfig {
  if (value === undefined) return base ?? postureOf('normal');
  if (typeof value === 'string') return postureOf(parseMode(value, path, problems));
  const map = asMap(value) ?? {};
  rejectUnknownKeys(map, ['mode', 'checks', 'paws_window'], path, problems);
  const checks = asMap(map['checks']) ?? {};
  rejectUnknownKeys(checks, CHECK_NAMES, [...path, 'checks'], problems);
  const mode = map['mode'] === undefined ? 'custom' : parseMode(map['mode'], [...path, 'mode'], problems);
  if (mode !== 'custom' && Object.keys(checks).length > 0) problems.error([...path, 'checks'], `posture ${mode} has fixed actions; single checks need mode: custom`);
  const own: Partial<Record<PostureCheckName, CheckAction>> = {};
  for (const name of CHECK_NAMES) {
    const text = checks[name];
    if (text === undefined) continue;
    const action = CHECK_ACTION_NAMES.findIndex((a) => a === text);
    if (action < 0) problems.error([...path, 'checks', name], `${show(text)} is not an action; accepted: ${CHECK_ACTION_NAMES.join(', ')}`);
    else own[name] = action as CheckAction;
  }
  return postureOf(mode, own, integer(map['paws_window'], 0, MAX_PAWS_WINDOW, [...path, 'paws_window'], problems));
}

function parseMode(value: unknown, path: Path, problems: Problems): PostureMode {
  const mode = POSTURE_MODES.find((m) => m === value);
  if (mode === undefined) problems.error(path, `${show(value)} is not a posture; accepted: ${POSTURE_MODES.join(', ')}`);
  return mode ?? 'normal';
}

/** Switches not given are those of `base`, or on (site_local and null_address: off). */
export function parseHygiene(value: unknown, base: HygieneConfig | undefined, path: Path, problems: Problems): HygieneConfig {
  const map = asMap(value) ?? {};
  const names = Object.keys(HYGIENE_SWITCHES) as HygieneSwitch[];
  rejectUnknownKeys(map, [...names, 'min_mss'], path, problems);
  const inherited = base?.checks ?? HYGIENE_DEFAULT;
  const checks = names.reduce((bits, name) => (flag(map[name], (inherited & Hygiene[name]) !== 0, [...path, name], problems) ? bits | Hygiene[name] : bits), 0);
  return { checks, minMss: integer(map['min_mss'], base?.minMss ?? DEFAULT_MIN_MSS, 1460, [...path, 'min_mss'], problems) };
}

function integer(value: unknown, byDefault: number, max: number, path: Path, problems: Problems): number {
  if (value === undefined) return byDefault;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) return value;
  problems.error(path, `${show(value)} is not accepted; accepted: a whole number 0 to ${max}`);
  return byDefault;
}
