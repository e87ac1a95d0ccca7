/** threshold and detection_filter. */
import { keyword } from '../keyword.js';
import { splitWord, type OptionText } from '../option.js';
import { Track } from '../state/shared-state.js';
import { Threshold, ThresholdType } from '../state/threshold.js';

const TYPES: Readonly<Record<string, number>> = { limit: ThresholdType.LIMIT, threshold: ThresholdType.THRESHOLD, both: ThresholdType.BOTH };
const TRACKS: Readonly<Record<string, number>> = {
  by_src: Track.BY_SRC, by_dst: Track.BY_DST, by_both: Track.BY_BOTH, by_rule: Track.BY_RULE, by_flow: Track.BY_FLOW,
};
const MAX_COUNT = 0x7fff_ffff;

function parse(option: OptionText, filter: boolean): Threshold {
  let type = -1;
  let track = -1;
  let count = 0;
  let seconds = 0;
  const seen = new Set<string>();
  for (const arg of option.split()) {
    const { word, rest } = splitWord(arg);
    if (seen.has(word)) option.fail(arg, `${word} is given twice`, [], 'conflict');
    seen.add(word);
    if (word === 'type' && !filter) {
      if (!Object.hasOwn(TYPES, rest.text)) option.fail(rest, 'unknown type', Object.keys(TYPES));
      type = TYPES[rest.text]!;
    } else if (word === 'track') {
      if (!Object.hasOwn(TRACKS, rest.text)) option.fail(rest, 'unknown track', Object.keys(TRACKS));
      track = TRACKS[rest.text]!;
    } else if (word === 'count') count = option.integer(rest, 1, MAX_COUNT);
    else if (word === 'seconds') seconds = option.integer(rest, 1, MAX_COUNT);
    else option.fail(arg, 'unknown option', filter ? ['track', 'count', 'seconds'] : ['type', 'track', 'count', 'seconds']);
  }
  for (const word of filter ? ['track', 'count', 'seconds'] : ['type', 'track', 'count', 'seconds']) {
    if (!seen.has(word)) option.fail(option.whole(), `${word} is missing`, [word]);
  }
  return new Threshold(filter ? ThresholdType.DETECTION_FILTER : type, track, count, seconds);
}

export const threshold = keyword({
  name: 'threshold',
  kind: 'post',
  help: 'How often the rule alerts: the first n (limit), each n-th (threshold) or once after n (both) in a time.',
  usage: ['threshold:type limit|threshold|both, track by_src|by_dst|by_both|by_rule|by_flow, count n, seconds s'],
  value: 'required',
  parse(draft, option) {
    if (draft.detectionFilter !== null) option.fail(null, 'threshold excludes detection_filter', [], 'conflict');
    // Public rules repeat it at times; the first one counts.
    const parsed = parse(option, false);
    draft.threshold ??= parsed;
  },
});

export const detectionFilter = keyword({
  name: 'detection_filter',
  kind: 'post',
  help: 'The rule acts only on matches beyond n in a time.',
  usage: ['detection_filter:track by_src|by_dst|by_both|by_rule|by_flow, count n, seconds s'],
  value: 'required',
  parse(draft, option) {
    if (draft.detectionFilter !== null) option.fail(null, 'detection_filter is given twice', [], 'conflict');
    if (draft.threshold !== null) option.fail(null, 'detection_filter excludes threshold', [], 'conflict');
    draft.detectionFilter = parse(option, true);
  },
});
