import {
  Pcre, PCRE_ANCHORED, PCRE_CASELESS, PCRE_DOLLAR_ENDONLY, PCRE_DOTALL, PCRE_EXTENDED, PCRE_MULTILINE, PCRE_UNGREEDY,
} from '@drawbridge/native';
import { decodePcre } from 'snort-rule-parser';
import { sameBytes } from '../draft.js';
import { keyword } from '../keyword.js';
import type { OptionText } from '../option.js';
import { PcreStep } from '../match/step.js';

/** Steps and depth one match may take (Suricata: pcre.match-limit and match-limit-recursion). */
export const PCRE_MATCH_LIMIT = 3500;
export const PCRE_DEPTH_LIMIT = 1500;

const OPTIONS: Readonly<Record<string, number>> = {
  i: PCRE_CASELESS,
  m: PCRE_MULTILINE,
  s: PCRE_DOTALL,
  x: PCRE_EXTENDED,
  A: PCRE_ANCHORED,
  E: PCRE_DOLLAR_ENDONLY,
  G: PCRE_UNGREEDY,
};

/** Letters that name the buffer, as Suricata and Snort 2 use them. */
const BUFFERS: Readonly<Record<string, string>> = {
  U: 'http.uri',
  I: 'http.uri.raw',
  P: 'http.request_body',
  Q: 'http.response_body',
  H: 'http.header',
  D: 'http.header.raw',
  M: 'http.method',
  C: 'http.cookie',
  S: 'http.stat_code',
  Y: 'http.stat_msg',
  V: 'http.user_agent',
  W: 'http.host',
  Z: 'http.host.raw',
};

/** R = relative to the match before; B = the payload as sent; O = Snort's override of its match limits, ours stay. */
const OTHER = ['R', 'B', 'O'];

export const pcre = keyword({
  name: 'pcre',
  kind: 'content',
  help: 'A Perl-compatible regular expression that has to match in the buffer; with ! it must not. Captures into variables are accepted and not kept.',
  usage: ['pcre:"/expression/modifiers"', 'pcre:!"/expression/modifiers"'],
  value: 'required',
  parse(draft, option: OptionText) {
    const decoded = decodePcre(option.value);
    if (decoded.kind !== 'pcre') option.fail({ text: decoded.token, at: decoded.at }, decoded.message, decoded.accepted);
    const { expression, modifiers, negated } = decoded;
    const start = option.value.indexOf(expression);
    const lettersAt = start + expression.length + 1;
    let options = 0;
    let relative = false;
    let buffer = '';
    for (let i = 0; i < modifiers.length; i++) {
      const letter = modifiers[i]!;
      const at = { text: letter, at: lettersAt + i };
      if (letter === ' ') continue;
      if (letter === 'R') relative = true;
      else if (Object.hasOwn(OPTIONS, letter)) options = (options | OPTIONS[letter]!) >>> 0;
      else if (Object.hasOwn(BUFFERS, letter)) {
        const named = BUFFERS[letter]!;
        if (buffer !== '' && buffer !== named) option.fail(at, `two buffers for one pcre: ${buffer} and ${named}`, [], 'conflict');
        buffer = named;
      } else if (!OTHER.includes(letter)) {
        option.fail(at, 'unknown pcre modifier', [...Object.keys(OPTIONS), ...OTHER, ...Object.keys(BUFFERS)]);
      }
    }
    let step: PcreStep;
    try {
      step = new PcreStep(new Pcre(expression, options, PCRE_MATCH_LIMIT, PCRE_DEPTH_LIMIT), negated, relative);
    } catch (error) {
      const offset = error instanceof Error && 'offset' in error && typeof error.offset === 'number' ? error.offset : 0;
      const message = error instanceof Error ? error.message : String(error);
      option.fail({ text: expression.slice(offset, offset + 20), at: start + offset }, `bad regular expression: ${message}`, [], 'bad-pattern');
    }
    if (buffer === '') {
      draft.add(step);
      return;
    }
    if (sameBytes(draft.current.name, buffer)) {
      draft.add(step);
      return;
    }
    if (draft.current !== draft.payload) {
      option.fail(null, `the modifier means ${buffer}, but the sticky buffer is ${draft.current.name}`, ['no buffer letter'], 'conflict');
    }
    draft.bufferNamed(option, buffer).steps.push(step);
  },
});
