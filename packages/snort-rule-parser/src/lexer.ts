/** From bytes to logical lines: text encoding, line ends, comments and backslash continuation. */
import type { LineStart, SourceText } from './ast.js';
import type { Position } from './errors.js';

const TAB = 0x09;
const CR = 0x0d;
const SPACE = 0x20;
const HASH = 0x23;
const SEMICOLON = 0x3b;
const BACKSLASH = 0x5c;

const NO_CONTINUATIONS: readonly LineStart[] = [];

/** True for the blanks that may separate tokens inside one logical line. */
export function isBlank(code: number): boolean {
  return code === SPACE || code === TAB || code === CR || code === 0x0b || code === 0x0c;
}

/** First index at or after `at` that is no blank; `end` when there is none. */
export function skipBlanks(text: string, at: number, end: number): number {
  while (at < end && isBlank(text.charCodeAt(at))) at += 1;
  return at;
}

/** One past the last non-blank in `[start, end)`; `start` when all is blank. */
export function trimEnd(text: string, start: number, end: number): number {
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return end;
}

/** `text[start, end)` without blanks around it. Unlike `String.trim` it leaves the byte 0xa0 alone. */
export function trimmed(text: string, start = 0, end = text.length): string {
  const first = skipBlanks(text, start, end);
  return text.slice(first, trimEnd(text, first, end));
}

/** True when an odd number of backslashes stands directly before `at`, none of them before `start`. */
export function isEscaped(text: string, at: number, start: number): boolean {
  let count = 0;
  while (at - 1 - count >= start && text.charCodeAt(at - 1 - count) === BACKSLASH) count += 1;
  return (count & 1) === 1;
}

export interface DecodedText {
  /** One UTF-16 unit per byte. */
  readonly text: string;
  /** Index of the first character after a byte order mark. */
  readonly start: number;
}

/**
 * Rule files are bytes: UTF-8, latin-1 and raw binary occur side by side, so no charset is assumed and each byte
 * becomes the code unit of the same value. A string is taken as already in that form, unless it holds a unit above
 * 0xff: then it was decoded by somebody, and its UTF-8 bytes are taken.
 */
export function decodeRuleText(input: string | Uint8Array): DecodedText {
  let text: string;
  if (typeof input !== 'string') {
    text = Buffer.from(input.buffer, input.byteOffset, input.byteLength).toString('latin1');
  } else if (/[\u0100-\uffff]/.test(input)) {
    text = Buffer.from(input, 'utf8').toString('latin1');
  } else {
    text = input;
  }
  return { text, start: text.startsWith('\xef\xbb\xbf') ? 3 : 0 };
}

/**
 * The reverse for display: UTF-8 when the bytes are valid UTF-8, otherwise the latin-1 reading.
 */
export function displayText(text: string): string {
  if (!/[\x80-\xff]/.test(text)) return text;
  const decoded = Buffer.from(text, 'latin1').toString('utf8');
  return decoded.includes('\ufffd') ? text : decoded;
}

/** Place in the file of offset `at` of a logical line. O(log lines). */
export function locate(source: SourceText, at: number): Position {
  const { continuations } = source;
  let low = 0;
  let high = continuations.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (continuations[middle]!.at <= at) low = middle + 1;
    else high = middle;
  }
  if (low === 0) return { line: source.line, column: source.column + at, offset: source.offset + at };
  const start = continuations[low - 1]!;
  return { line: source.line + low, column: at - start.at + 1, offset: start.offset + at - start.at };
}

/** A logical line that is not blank and not a plain comment. */
export interface LogicalLine {
  readonly source: SourceText;
  /** False when the line is a comment that may hold a disabled rule. */
  readonly enabled: boolean;
}

export interface LineOptions {
  readonly file: string;
  /** Number of the first line. */
  readonly firstLine: number;
  /** Whether comments are yielded as well. */
  readonly comments: boolean;
}

/**
 * The logical lines in order, found as they are asked for.
 *
 * A backslash at the end of a line (blanks may follow it) joins the next line to it, as in Suricata's loader: the
 * backslash and line end vanish, the blanks that indent the next line stay. Comments (`#`, and `;` which Suricata
 * skips likewise) are never continued; inside a continued rule a `#` is rule text.
 */
export function* logicalLines(text: string, start: number, options: LineOptions): Generator<LogicalLine, undefined> {
  let at = start;
  let line = options.firstLine;
  while (at < text.length) {
    const lineStart = at;
    const lineNumber = line;
    let end = lineEnd(text, at);
    at = end + 1;
    line += 1;
    let bodyStart = skipBlanks(text, lineStart, end);
    let bodyEnd = trimEnd(text, bodyStart, end);
    if (bodyStart === bodyEnd) continue;
    const first = text.charCodeAt(bodyStart);
    if (first === HASH || first === SEMICOLON) {
      if (!options.comments || first === SEMICOLON) continue;
      while (bodyStart < bodyEnd && (text.charCodeAt(bodyStart) === HASH || isBlank(text.charCodeAt(bodyStart)))) {
        bodyStart += 1;
      }
      const source: SourceText = {
        file: options.file,
        text: text.slice(bodyStart, bodyEnd),
        line: lineNumber,
        column: bodyStart - lineStart + 1,
        offset: bodyStart,
        continuations: NO_CONTINUATIONS,
      };
      yield { source, enabled: false };
      continue;
    }

    let body: string;
    let continuations = NO_CONTINUATIONS;
    if (text.charCodeAt(bodyEnd - 1) !== BACKSLASH) {
      body = text.slice(lineStart, bodyEnd);
    } else {
      const pieces = [text.slice(lineStart, bodyEnd - 1)];
      const starts: LineStart[] = [];
      let length = bodyEnd - 1 - lineStart;
      for (let more = true; more && at < text.length; ) {
        const pieceStart = at;
        end = lineEnd(text, at);
        at = end + 1;
        line += 1;
        bodyEnd = trimEnd(text, pieceStart, end);
        more = bodyEnd > pieceStart && text.charCodeAt(bodyEnd - 1) === BACKSLASH;
        const pieceEnd = more ? bodyEnd - 1 : bodyEnd;
        starts.push({ at: length, offset: pieceStart });
        pieces.push(text.slice(pieceStart, pieceEnd));
        length += pieceEnd - pieceStart;
      }
      body = pieces.join('');
      continuations = starts;
    }
    const source: SourceText = {
      file: options.file, text: body, line: lineNumber, column: 1, offset: lineStart, continuations,
    };
    yield { source, enabled: true };
  }
}

function lineEnd(text: string, at: number): number {
  const end = text.indexOf('\n', at);
  return end < 0 ? text.length : end;
}
