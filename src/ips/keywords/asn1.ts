/** asn1: malformed BER in a payload. */
import { keyword } from '../keyword.js';
import { Asn1Step } from '../match/step.js';
import { splitWord } from '../option.js';

const OPTIONS = ['bitstring_overflow', 'double_overflow', 'oversize_length n', 'absolute_offset n', 'relative_offset n'];
const MAX = 0xffff_ffff;

export const asn1 = keyword({
  name: 'asn1',
  kind: 'content',
  help: 'Looks for BER values that attacks are made of: bit strings with more unused bits than bits, decimal numbers and elements that are too long.',
  usage: ['asn1:bitstring_overflow,double_overflow,oversize_length n,absolute_offset n|relative_offset n'],
  value: 'required',
  parse(draft, option) {
    const step = new Asn1Step();
    for (const arg of option.split()) {
      const { word, rest } = splitWord(arg);
      if (word === 'bitstring_overflow') step.bitstringOverflow = true;
      else if (word === 'double_overflow') step.doubleOverflow = true;
      else if (word === 'oversize_length') step.oversize = option.integer(rest, 0, MAX);
      else if (word === 'absolute_offset') step.offset = option.integer(rest, 0, 65_535);
      else if (word === 'relative_offset') {
        step.offset = option.integer(rest, -65_535, 65_535);
        step.relative = true;
      } else option.fail(arg, 'unknown option', OPTIONS);
    }
    if (!step.bitstringOverflow && !step.doubleOverflow && step.oversize < 0) option.fail(option.whole(), 'nothing to look for', OPTIONS.slice(0, 3));
    draft.add(step);
  },
});
