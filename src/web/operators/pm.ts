/** The two operators that look for any of many phrases: pm and pmFromFile. */
import type { ByteString } from '../value.js';
import { operator, type CompiledOperator } from './operator.js';
import { PhraseMatcher } from './phrase-matcher.js';
import { dataLines } from './text.js';

const HEX_PART = /\|((?:[0-9A-Fa-f]{2}[\t ]*)+)\|/g;

/** Bytes may be written as in Snort's rules: |41 42|. */
function resolveHex(phrases: ByteString): ByteString {
  return phrases.replace(HEX_PART, (_, digits: string) => Buffer.from(digits.replace(/[\t ]+/g, ''), 'hex').toString('latin1'));
}

function compilePhrases(phrases: readonly ByteString[]): CompiledOperator {
  if (phrases.length === 0) throw new Error('no phrase is given');
  const matcher = new PhraseMatcher(phrases);
  return {
    match: (value, state) => {
      const phrase = matcher.find(value);
      if (phrase === null) return false;
      state.captureWhole(phrase);
      return true;
    },
    pure: true,
    hint: { kind: 'words', words: phrases },
  };
}

export const pm = operator({
  name: 'pm',
  argument: 'required',
  help: 'One of the phrases, separated by blanks, occurs in the value; letters compare without case. Captures the phrase.',
  compile: (argument) => compilePhrases(resolveHex(argument).split(/[\t-\r ]+/).filter((phrase) => phrase !== '')),
});

export const pmFromFile = operator({
  name: 'pmFromFile',
  aliases: ['pmf'],
  argument: 'required',
  help: 'As pm, with the lines of one or more files as phrases.',
  compile: (argument, context) => {
    const names = argument.split(/[\t-\r ]+/).filter((name) => name !== '');
    const remote = names.find((name) => /^https?:/i.test(name));
    if (remote !== undefined) throw new Error(`${remote}: phrases are read from files only, not from the network`);
    return compilePhrases(names.flatMap((name) => dataLines(context.readFile(name))));
  },
});
