/** Modifiers of the content before them: case, place, and use in the prefilter. */
import type { RuleDraft } from '../draft.js';
import { keyword } from '../keyword.js';
import { FastPattern, type ContentStep } from '../match/step.js';
import { integerOf, type OptionText } from '../option.js';

const MAX_PLACE = 65_535;
const MAX_DISTANCE = 1_048_576;

/** Number, or slot of a byte variable. */
function numberOrVariable(draft: RuleDraft, option: OptionText, min: number, max: number): { value: number; variable: number } {
  const arg = option.unquoted();
  if (integerOf(arg.text) !== null) return { value: option.integer(arg, min, max), variable: -1 };
  return { value: 0, variable: draft.variable(option, arg) };
}

function once(option: OptionText, given: boolean): void {
  if (given) option.fail(null, `${option.name} is given twice for this content`, [], 'conflict');
}

/** offset and depth are absolute, distance and within relative: one content cannot have both. */
function absolute(option: OptionText, step: ContentStep): void {
  if (step.relative) option.fail(null, 'distance and within exclude offset and depth on one content', [], 'conflict');
}

function relative(option: OptionText, step: ContentStep): void {
  if (step.hasOffset || step.hasDepth) option.fail(null, 'offset, depth and startswith exclude distance and within on one content', [], 'conflict');
}

export const nocase = keyword({
  name: 'nocase',
  kind: 'modifier',
  help: 'The content matches ASCII letters of either case.',
  usage: ['nocase'],
  value: 'none',
  parse(draft, option) {
    const step = draft.content(option);
    once(option, step.nocase);
    step.nocase = true;
  },
});

export const depth = keyword({
  name: 'depth',
  kind: 'modifier',
  help: 'The content lies within the first bytes of the buffer, counted from its offset.',
  usage: ['depth:bytes', 'depth:variable'],
  value: 'required',
  parse(draft, option) {
    const step = draft.content(option);
    once(option, step.hasDepth);
    absolute(option, step);
    const { value, variable } = numberOrVariable(draft, option, 1, MAX_PLACE);
    if (variable < 0 && value < step.bytes.length) {
      option.fail(option.whole(), `depth is less than the ${step.bytes.length} bytes of the content`, [`${step.bytes.length}..${MAX_PLACE}`]);
    }
    step.hasDepth = true;
    step.depth = value;
    step.depthVar = variable;
  },
});

export const offset = keyword({
  name: 'offset',
  kind: 'modifier',
  help: 'The content does not start before this offset in the buffer.',
  usage: ['offset:bytes', 'offset:variable'],
  value: 'required',
  parse(draft, option) {
    const step = draft.content(option);
    once(option, step.hasOffset);
    absolute(option, step);
    if (step.startsWith) option.fail(null, 'startswith excludes offset', [], 'conflict');
    const { value, variable } = numberOrVariable(draft, option, 0, MAX_PLACE);
    step.hasOffset = true;
    step.offset = value;
    step.offsetVar = variable;
  },
});

export const distance = keyword({
  name: 'distance',
  kind: 'modifier',
  help: 'The content starts at least so many bytes after the end of the match before it.',
  usage: ['distance:bytes', 'distance:variable'],
  value: 'required',
  parse(draft, option) {
    const step = draft.content(option);
    once(option, step.hasDistance);
    relative(option, step);
    const { value, variable } = numberOrVariable(draft, option, -MAX_DISTANCE, MAX_DISTANCE);
    step.hasDistance = true;
    step.distance = value;
    step.distanceVar = variable;
  },
});

export const within = keyword({
  name: 'within',
  kind: 'modifier',
  help: 'The content ends within so many bytes after the end of the match before it (plus distance).',
  usage: ['within:bytes', 'within:variable'],
  value: 'required',
  parse(draft, option) {
    const step = draft.content(option);
    once(option, step.hasWithin);
    relative(option, step);
    const { value, variable } = numberOrVariable(draft, option, 1, MAX_DISTANCE);
    if (variable < 0 && value < step.bytes.length) {
      option.fail(option.whole(), `within is less than the ${step.bytes.length} bytes of the content`, [`${step.bytes.length}..${MAX_DISTANCE}`]);
    }
    step.hasWithin = true;
    step.within = value;
    step.withinVar = variable;
  },
});

export const startswith = keyword({
  name: 'startswith',
  kind: 'modifier',
  help: 'The content is at the start of the buffer.',
  usage: ['startswith'],
  value: 'none',
  parse(draft, option) {
    const step = draft.content(option);
    once(option, step.startsWith);
    if (step.hasOffset || step.hasDepth || step.relative) {
      option.fail(null, 'startswith excludes offset, depth, distance and within', [], 'conflict');
    }
    step.startsWith = true;
    step.hasDepth = true;
    step.depth = step.bytes.length;
  },
});

export const endswith = keyword({
  name: 'endswith',
  kind: 'modifier',
  help: 'The content is at the end of the buffer.',
  usage: ['endswith'],
  value: 'none',
  parse(draft, option) {
    const step = draft.content(option);
    once(option, step.endsWith);
    step.endsWith = true;
  },
});

/** Accepted for old rules: buffers that were decoded have names of their own, so there is nothing to switch off. */
export const rawbytes = keyword({
  name: 'rawbytes',
  kind: 'modifier',
  help: 'Kept for old rules: the packet payload is always looked at as it was sent.',
  usage: ['rawbytes'],
  value: 'none',
  parse(draft, option) {
    const { buffer } = draft.lastContent ?? { buffer: draft.payload };
    draft.content(option);
    if (buffer !== draft.payload) option.fail(null, `rawbytes means the payload, but the content is in ${buffer.name}`, [], 'conflict');
  },
});

export const fastPattern = keyword({
  name: 'fast_pattern',
  kind: 'modifier',
  help: 'The prefilter looks for this content, or for a part of it, instead of the one the compiler would choose.',
  usage: ['fast_pattern', 'fast_pattern:only', 'fast_pattern:offset,length'],
  value: 'optional',
  parse(draft, option) {
    const step = draft.content(option);
    if (draft.fastPatternSeen) option.fail(null, 'fast_pattern is given twice in this rule', [], 'conflict');
    draft.fastPatternSeen = true;
    if (step.negated && (step.relative || step.hasDepth || step.hasOffset)) {
      option.fail(null, 'a negated content with offset, depth, distance or within cannot be the fast pattern', [], 'conflict');
    }
    const args = option.split();
    if (args.length === 0) {
      step.fastPattern = FastPattern.WANTED;
      return;
    }
    if (args.length === 1 && args[0]!.text === 'only') {
      if (step.negated || step.relative || step.hasDepth || step.hasOffset) {
        option.fail(args[0]!, 'fast_pattern:only excludes negation, offset, depth, distance and within', ['fast_pattern'], 'conflict');
      }
      step.fastPattern = FastPattern.ONLY;
      return;
    }
    if (args.length !== 2) option.fail(option.whole(), 'not a form of fast_pattern', ['only', 'offset,length']);
    const from = option.integer(args[0]!, 0, step.bytes.length - 1);
    const length = option.integer(args[1]!, 1, step.bytes.length - from);
    step.fastPattern = FastPattern.WANTED;
    step.chopOffset = from;
    step.chopLength = length;
  },
});

/** Refused on purpose: an inline device that rewrites payload needs the flow's sequence numbers to follow. */
export const replace = keyword({
  name: 'replace',
  kind: 'modifier',
  help: 'Refused: rewriting payload is not supported, use drop or reject.',
  usage: ['replace:"text"'],
  value: 'required',
  parse(_draft, option) {
    option.fail(null, 'rewriting payload is not supported', ['action drop', 'action reject'], 'not-supported');
  },
});
