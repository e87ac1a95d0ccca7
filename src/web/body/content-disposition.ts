/** The Content-Disposition field of a multipart part (RFC 2183, RFC 7578), read strictly. */
import { urlDecode } from './urlencoded.js';
import type { ByteString } from '../value.js';

export interface ContentDisposition {
  readonly name: ByteString | null;
  readonly fileName: ByteString | null;
  /** Single quotes stood where only double quotes quote. */
  readonly singleQuotes: boolean;
}

const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]*/y;

/** @returns the parameters, or what is wrong */
export function parseContentDisposition(value: ByteString): ContentDisposition | string {
  if (!value.startsWith('form-data')) return 'not form-data';
  let name: ByteString | null = null;
  let fileName: ByteString | null = null;
  let extended: ByteString | null = null;
  let singleQuotes = false;
  let pos = skipBlanks(value, 'form-data'.length);
  while (pos < value.length) {
    if (value[pos] !== ';') return 'semicolon missing';
    pos = skipBlanks(value, pos + 1);
    if (pos >= value.length) return 'parameter missing';
    const start = pos;
    while (pos < value.length && !'= \t'.includes(value[pos]!)) pos++;
    const key = value.slice(start, pos);
    pos = skipBlanks(value, pos);
    if (value[pos] !== '=') return 'equals sign missing';
    pos = skipBlanks(value, pos + 1);
    if (pos >= value.length) return 'parameter value missing';
    let text: ByteString;
    if (value[pos] === '"') {
      const quoted = readQuoted(value, pos + 1);
      if (quoted === null) return 'quote not closed';
      text = quoted.text;
      pos = quoted.end;
    } else {
      TOKEN.lastIndex = pos;
      TOKEN.exec(value);
      text = value.slice(pos, TOKEN.lastIndex);
      pos = TOKEN.lastIndex;
      if (text.includes("'") && key !== 'filename*') singleQuotes = true;
    }
    if (key === 'name') {
      if (name !== null) return 'name repeated';
      name = text;
    } else if (key === 'filename') {
      if (fileName !== null) return 'filename repeated';
      fileName = text;
    } else if (key === 'filename*') {
      if (extended !== null) return 'filename* repeated';
      const coded = /^[A-Za-z0-9-]*'[A-Za-z0-9-]*'(.*)$/s.exec(text);
      if (coded === null) return 'filename* is no RFC 5987 value';
      extended = urlDecode(coded[1]!.replaceAll('+', '%2B')).text;
    } else return 'unknown parameter';
    pos = skipBlanks(value, pos);
  }
  return { name, fileName: fileName ?? extended, singleQuotes };
}

function skipBlanks(text: ByteString, at: number): number {
  let pos = at;
  while (text[pos] === ' ' || text[pos] === '\t') pos++;
  return pos;
}

/** Only the quote and the backslash itself can be escaped; browsers send other backslashes as they are. */
function readQuoted(text: ByteString, from: number): { readonly text: ByteString; readonly end: number } | null {
  let out = '';
  let start = from;
  let pos = from;
  for (; pos < text.length && text[pos] !== '"'; pos++) {
    if (text[pos] !== '\\') continue;
    if (pos + 1 >= text.length) return null;
    if (text[pos + 1] !== '"' && text[pos + 1] !== '\\') continue;
    out += text.slice(start, pos);
    start = pos + 1;
    pos++;
  }
  return pos >= text.length ? null : { text: out + text.slice(start, pos), end: pos + 1 };
}
