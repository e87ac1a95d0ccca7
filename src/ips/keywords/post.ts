/** What happens, or does not, when the rule matches: noalert, alert, bypass, tag; and how it is found: prefilter. */
import { keyword } from '../keyword.js';
import { splitWord } from '../option.js';

export const noalert = keyword({
  name: 'noalert',
  kind: 'post',
  help: 'The rule makes no alert; its other effects stay, so that a drop rule still drops.',
  usage: ['noalert'],
  value: 'none',
  parse(draft) {
    draft.noalert = true;
  },
});

export const alert = keyword({
  name: 'alert',
  kind: 'post',
  help: 'The rule makes an alert beside its action, also when that is pass.',
  usage: ['alert'],
  value: 'none',
  parse(draft, option) {
    if (draft.noalert) option.fail(null, 'excludes noalert', [], 'conflict');
    draft.alert = true;
  },
});

export const bypass = keyword({
  name: 'bypass',
  kind: 'post',
  help: 'Once the rule matched, nothing more of the flow is inspected.',
  usage: ['bypass'],
  value: 'none',
  parse(draft) {
    draft.bypass = true;
    draft.perPacket = true;
  },
});

const MAX_TAG = 0xffff_ffff;

/** Parsed and checked; packets are not logged as tagged, since no tagged-packet output exists. */
export const tag = keyword({
  name: 'tag',
  kind: 'post',
  help: 'Accepted; what it tags (later packets of the session or host) is not logged.',
  usage: ['tag:session|host[,n,packets|bytes|seconds][,src|dst]'],
  value: 'required',
  parse(_draft, option) {
    const args = option.split();
    const [type] = args;
    if (type === undefined || !['session', 'host'].includes(type.text)) option.fail(type ?? option.whole(), 'unknown type', ['session', 'host']);
    if (args.length > 1) {
      const [, count, metric, direction] = args;
      option.integer(count!, 1, MAX_TAG);
      if (metric === undefined || !['packets', 'bytes', 'seconds'].includes(metric.text)) {
        option.fail(metric ?? option.whole(), 'unknown metric', ['packets', 'bytes', 'seconds']);
      }
      if (direction !== undefined && !['src', 'dst'].includes(direction.text)) option.fail(direction, 'unknown direction', ['src', 'dst']);
      if (direction !== undefined && type.text !== 'host') option.fail(direction, 'only tag:host has a direction', ['host']);
    }
  },
});

/** Accepted everywhere Suricata takes it: rules without a content are sorted by protocol and ports here in any case. */
export const prefilter = keyword({
  name: 'prefilter',
  kind: 'post',
  help: 'After a content the same as fast_pattern; after other keywords accepted without effect.',
  usage: ['prefilter'],
  value: 'none',
  parse(draft, option) {
    if (draft.prefilter) option.fail(null, 'prefilter is given twice', [], 'conflict');
    draft.prefilter = true;
    if (draft.lastContent !== null && draft.lastContent.buffer.steps.at(-1) === draft.lastContent.step) {
      draft.fastPatternSeen = true;
      draft.lastContent.step.fastPattern = 1;
    }
  },
});

/** Directives of config rules that are understood. */
export const config = keyword({
  name: 'config',
  kind: 'post',
  help: 'For rules with the action config: what is switched off for the flow or the transaction.',
  usage: ['config:logging disable, type tx|flow, scope tx|flow'],
  value: 'required',
  parse(_draft, option) {
    const words = new Map(option.split().map((arg) => [splitWord(arg).word, splitWord(arg).rest]));
    const logging = words.get('logging') ?? words.get('tracking');
    if (logging === undefined || logging.text !== 'disable') option.fail(option.whole(), 'unknown directive', ['logging disable', 'tracking disable']);
    option.fail(null, 'config rules are not supported yet', ['alert', 'pass', 'drop', 'reject'], 'not-supported');
  },
});
