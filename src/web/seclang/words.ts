/**
 * Words of a directive: separated by white space, optionally in double or single quotes, in which a backslash protects the
 * quote and itself (the reading of Apache's configuration files, hence of ModSecurity v2).
 */
import { SeclangError } from './error.js';
import type { LogicalLine } from './lines.js';

export interface Word {
  readonly text: string;
  /** Offset in the logical line of every character of `text`, so that an error inside a word names its column. */
  readonly offsets: readonly number[];
  /** Offset of the word itself. */
  readonly start: number;
}

export function splitWords(line: LogicalLine): Word[] {
  const text = line.text;
  const words: Word[] = [];
  let i = 0;
  for (;;) {
    while (i < text.length && isSpace(text.charCodeAt(i))) i++;
    if (i >= text.length) return words;
    const start = i;
    const quote = text[i] === '"' || text[i] === "'" ? text[i]! : '';
    if (quote !== '') i++;
    let word = '';
    const offsets: number[] = [];
    for (;;) {
      if (i >= text.length) {
        if (quote !== '') throw new SeclangError(`the quote ${quote} opened here is not closed`, line.at(start));
        break;
      }
      const c = text[i]!;
      if (c === '\\' && i + 1 < text.length && (text[i + 1] === '\\' || (quote !== '' && text[i + 1] === quote))) {
        offsets.push(i);
        word += text[i + 1]!;
        i += 2;
        continue;
      }
      if (quote === '' ? isSpace(text.charCodeAt(i)) : c === quote) {
        i++;
        break;
      }
      offsets.push(i);
      word += c;
      i++;
    }
    words.push({ text: word, offsets, start });
  }
}

function isSpace(c: number): boolean {
  return c === 0x20 || (c >= 0x09 && c <= 0x0d);
}

/** Position of character `at` of a word; its end when `at` is past it. */
export function positionIn(line: LogicalLine, word: Word, at: number): ReturnType<LogicalLine['at']> {
  const offset = word.offsets[at] ?? (word.offsets.length === 0 ? word.start : word.offsets[word.offsets.length - 1]! + 1);
  return line.at(offset);
}
