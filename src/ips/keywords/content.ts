import { decodeContent, type ContentPayload } from 'snort-rule-parser';
import type { RuleDraft } from '../draft.js';
import { keyword } from '../keyword.js';
import { ContentStep } from '../match/step.js';
import type { OptionText } from '../option.js';

/** Longest pattern: contents cannot be longer than the offsets that place them. */
const MAX_CONTENT = 65_535;

export function parseContent(draft: RuleDraft, option: OptionText): ContentPayload {
  const decoded = decodeContent(option.value);
  if (decoded.kind !== 'content') option.fail({ text: decoded.token, at: decoded.at }, decoded.message, decoded.accepted);
  if (decoded.bytes.length > MAX_CONTENT) option.fail(option.whole(), `the pattern is longer than ${MAX_CONTENT} bytes`, [`1..${MAX_CONTENT} bytes`]);
  const step = new ContentStep(decoded.bytes);
  step.negated = decoded.negated;
  draft.addContent(step);
  return decoded;
}

/** Bytes that have to occur, or with `!` must not. Text with hex between pipes; several contents may relate to each other. */
export const content = keyword({
  name: 'content',
  kind: 'content',
  help: 'Bytes that have to occur in the buffer; with ! they must not.',
  usage: ['content:"text|0d 0a|"', 'content:!"text"'],
  value: 'required',
  parse(draft, option) {
    const { modifiers } = parseContent(draft, option);
    if (modifiers.length > 0) {
      option.fail(option.whole(), "Snort 3's modifiers behind a comma are not supported", ['content:"..."; nocase;'], 'not-supported');
    }
  },
});

/** The old form of a content in the normalised URI. */
export const uricontent = keyword({
  name: 'uricontent',
  kind: 'content',
  help: 'A content in the normalised URI, the old way to write http.uri.',
  usage: ['uricontent:"text"'],
  value: 'required',
  parse(draft, option) {
    const { current } = draft;
    if (current !== draft.payload) option.fail(null, `stands in the sticky buffer ${current.name}`, ['content'], 'conflict');
    parseContent(draft, option);
    draft.moveContent(option, 'http.uri');
  },
});
