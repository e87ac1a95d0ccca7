/**
 * Logical lines of a rule file, as Apache reads them: a backslash before the line end joins the next line, `#` at the start
 * makes a comment (which a backslash continues as well). Every character keeps its place in the file for error messages.
 */
import type { SourcePosition } from './error.js';

export interface LogicalLine {
  /** Without line ends and joining backslashes, leading white space removed. */
  readonly text: string;
  /** Position of text[offset]. */
  at(offset: number): SourcePosition;
}

interface Segment {
  /** Offset in the logical line at which this physical line begins. */
  readonly start: number;
  readonly line: number;
  readonly column: number;
}

class Joined implements LogicalLine {
  readonly text: string;
  readonly #file: string;
  readonly #segments: readonly Segment[];

  constructor(text: string, file: string, segments: readonly Segment[]) {
    this.text = text;
    this.#file = file;
    this.#segments = segments;
  }

  at(offset: number): SourcePosition {
    let low = 0;
    let high = this.#segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#segments[middle]!.start <= offset) low = middle;
      else high = middle - 1;
    }
    const segment = this.#segments[low]!;
    return { file: this.#file, line: segment.line, column: segment.column + offset - segment.start };
  }
}

/** @param text contents of the file as a byte string */
export function* logicalLines(text: string, file: string): Generator<LogicalLine> {
  const physical = text.split('\n');
  let joined = '';
  let segments: Segment[] = [];
  for (let n = 0; n < physical.length; n++) {
    let line = physical[n]!;
    if (line.endsWith('\r')) line = line.slice(0, -1);
    let column = 1;
    if (segments.length === 0) {
      const trimmed = line.replace(/^[ \t\f\v]+/, '');
      column += line.length - trimmed.length;
      line = trimmed;
    }
    segments.push({ start: joined.length, line: n + 1, column });
    if (line.endsWith('\\') && n + 1 < physical.length) {
      joined += line.slice(0, -1);
      continue;
    }
    joined += line;
    if (joined.trim() !== '' && !joined.startsWith('#')) yield new Joined(joined, file, segments);
    joined = '';
    segments = [];
  }
}
