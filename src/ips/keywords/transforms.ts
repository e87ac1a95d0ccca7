/** Transforms of the sticky buffer before them. Each is applied to the whole buffer, once per buffer and transform chain. */
import { createHash } from 'node:crypto';
import { Pcre } from '@drawbridge/native';
import type { RuleDraft } from '../draft.js';
import { keyword, type Keyword } from '../keyword.js';
import { LOWER } from '../match/search.js';
import type { OptionText } from '../option.js';
import { Scratch, Transform } from '../transform.js';
import { PCRE_DEPTH_LIMIT, PCRE_MATCH_LIMIT } from './pcre.js';

/** A transform belongs to a sticky buffer and counts for the contents that follow it: those before stay as they are. */
function attach(draft: RuleDraft, option: OptionText, transform: Transform): void {
  const { current } = draft;
  if (current.kind !== 'tx' && current.kind !== 'packet') option.fail(null, 'has to follow a sticky buffer', [`http.uri; ${option.name}`], 'conflict');
  const target = current.steps.length === 0 ? current : draft.again(current);
  target.transforms.push(transform);
}

/** Copies byte by byte through `map`; null result of a byte leaves it out. */
abstract class ByteWise extends Transform {
  abstract map(byte: number): number;

  apply(buf: Uint8Array, off: number, len: number, out: Scratch): boolean {
    const bytes = out.reserve(len);
    let length = 0;
    for (let i = off; i < off + len; i++) {
      const byte = this.map(buf[i]!);
      if (byte >= 0) bytes[length++] = byte;
    }
    out.length = length;
    return true;
  }
}

class ToLower extends ByteWise {
  readonly key = 'to_lowercase';
  map(byte: number): number {
    return LOWER[byte]!;
  }
}

class ToUpper extends ByteWise {
  readonly key = 'to_uppercase';
  map(byte: number): number {
    return byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte;
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

class StripWhitespace extends ByteWise {
  readonly key = 'strip_whitespace';
  map(byte: number): number {
    return isSpace(byte) ? -1 : byte;
  }
}

class CompressWhitespace extends Transform {
  readonly key = 'compress_whitespace';

  apply(buf: Uint8Array, off: number, len: number, out: Scratch): boolean {
    const bytes = out.reserve(len);
    let length = 0;
    let space = false;
    for (let i = off; i < off + len; i++) {
      const now = isSpace(buf[i]!);
      if (!(now && space)) bytes[length++] = buf[i]!;
      space = now;
    }
    out.length = length;
    return true;
  }
}

class DotPrefix extends Transform {
  readonly key = 'dotprefix';

  apply(buf: Uint8Array, off: number, len: number, out: Scratch): boolean {
    const bytes = out.reserve(len + 1);
    bytes[0] = 0x2e;
    for (let i = 0; i < len; i++) bytes[i + 1] = buf[off + i]!;
    out.length = len + 1;
    return true;
  }
}

class Hash extends Transform {
  readonly key: string;
  constructor(readonly algorithm: 'md5' | 'sha1' | 'sha256') {
    super();
    this.key = `to_${algorithm}`;
  }

  apply(buf: Uint8Array, off: number, len: number, out: Scratch): boolean {
    const digest = createHash(this.algorithm).update(buf.subarray(off, off + len)).digest();
    out.reserve(digest.length).set(digest);
    out.length = digest.length;
    return true;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** RFC 3986 section 2.1 percent-encoding, and `+` for a space; malformed escapes stay. */
class UrlDecode extends Transform {
  readonly key = 'url_decode';

  apply(buf: Uint8Array, off: number, len: number, out: Scratch): boolean {
    const bytes = out.reserve(len);
    const end = off + len;
    let length = 0;
    for (let i = off; i < end; i++) {
      const byte = buf[i]!;
      if (byte === 0x25 && i + 2 < end) {
        const high = hexDigit(buf[i + 1]!);
        const low = hexDigit(buf[i + 2]!);
        if (high >= 0 && low >= 0) {
          bytes[length++] = high * 16 + low;
          i += 2;
          continue;
        }
      }
      bytes[length++] = byte === 0x2b ? 0x20 : byte;
    }
    out.length = length;
    return true;
  }
}

class Xor extends Transform {
  readonly key: string;
  constructor(readonly secret: Uint8Array) {
    super();
    this.key = `xor ${Buffer.from(secret).toString('hex')}`;
  }

  apply(buf: Uint8Array, off: number, len: number, out: Scratch): boolean {
    const bytes = out.reserve(len);
    for (let i = 0; i < len; i++) bytes[i] = buf[off + i]! ^ this.secret[i % this.secret.length]!;
    out.length = len;
    return true;
  }
}

/** Leaves what the first capture group matched, or the whole match; nothing when it does not match. */
class PcreXform extends Transform {
  readonly key: string;
  readonly #ovector = new Int32Array(4);

  constructor(
    readonly pcre: Pcre,
    expression: string,
  ) {
    super();
    this.key = `pcrexform ${expression}`;
  }

  apply(buf: Uint8Array, off: number, len: number, out: Scratch): boolean {
    const pairs = this.pcre.exec(buf, off, len, 0, this.#ovector);
    if (pairs < 1) return false;
    const group = pairs >= 2 && this.#ovector[2]! >= 0 ? 2 : 0;
    const start = this.#ovector[group]!;
    const length = this.#ovector[group + 1]! - start;
    const bytes = out.reserve(length);
    for (let i = 0; i < length; i++) bytes[i] = buf[off + start + i]!;
    out.length = length;
    return true;
  }
}

/** HTTP header lines with their names in lower case, values untouched. */
class HeaderLowercase extends Transform {
  readonly key = 'header_lowercase';

  apply(buf: Uint8Array, off: number, len: number, out: Scratch): boolean {
    const bytes = out.reserve(len);
    let name = true;
    for (let i = 0; i < len; i++) {
      const byte = buf[off + i]!;
      if (byte === 0x3a) name = false;
      bytes[i] = name ? LOWER[byte]! : byte;
      if (byte === 0x0a) name = true;
    }
    out.length = len;
    return true;
  }
}

/** Leaves out header lines that start with a colon (HTTP/2 pseudo headers, RFC 9113 section 8.3). */
class StripPseudoHeaders extends Transform {
  readonly key = 'strip_pseudo_headers';

  apply(buf: Uint8Array, off: number, len: number, out: Scratch): boolean {
    const bytes = out.reserve(len);
    let length = 0;
    let start = true;
    let pseudo = false;
    for (let i = off; i < off + len; i++) {
      const byte = buf[i]!;
      if (start) pseudo = byte === 0x3a;
      start = byte === 0x0a;
      if (!pseudo) bytes[length++] = byte;
    }
    out.length = length;
    return true;
  }
}

function plain<const Name extends string>(name: Name, help: string, make: () => Transform): Keyword<Name> {
  return keyword({
    name,
    kind: 'transform',
    help,
    usage: [`buffer; ${name}`],
    value: 'none',
    parse: (draft, option) => attach(draft, option, make()),
  });
}

export const dotprefix = plain('dotprefix', 'Puts a dot before the buffer, so that names can be compared by labels.', () => new DotPrefix());
export const stripWhitespace = plain('strip_whitespace', 'Removes all white space.', () => new StripWhitespace());
export const compressWhitespace = plain('compress_whitespace', 'Leaves one of each run of white space.', () => new CompressWhitespace());
export const toLowercase = plain('to_lowercase', 'ASCII letters to lower case.', () => new ToLower());
export const toUppercase = plain('to_uppercase', 'ASCII letters to upper case.', () => new ToUpper());
export const toMd5 = plain('to_md5', 'MD5 of the buffer, 16 bytes.', () => new Hash('md5'));
export const toSha1 = plain('to_sha1', 'SHA-1 of the buffer, 20 bytes.', () => new Hash('sha1'));
export const toSha256 = plain('to_sha256', 'SHA-256 of the buffer, 32 bytes.', () => new Hash('sha256'));
export const urlDecode = plain('url_decode', 'Decodes percent-encoding and plus signs.', () => new UrlDecode());
export const headerLowercase = plain('header_lowercase', 'Names of header lines to lower case.', () => new HeaderLowercase());
export const stripPseudoHeaders = plain('strip_pseudo_headers', 'Removes header lines that start with a colon.', () => new StripPseudoHeaders());

export const xor = keyword({
  name: 'xor',
  kind: 'transform',
  help: 'Combines the buffer with a repeated key by exclusive or.',
  usage: ['buffer; xor:"0d0ac8ff"'],
  value: 'required',
  parse(draft, option: OptionText) {
    const arg = option.unquoted();
    const digits = arg.text.replace(/\s+/g, '');
    if (!/^(?:[0-9a-f]{2}){1,255}$/i.test(digits)) option.fail(arg, 'not a key', ['pairs of hexadecimal digits']);
    attach(draft, option, new Xor(new Uint8Array(Buffer.from(digits, 'hex'))));
  },
});

export const pcrexform = keyword({
  name: 'pcrexform',
  kind: 'transform',
  help: 'Leaves what the first group of a regular expression matches.',
  usage: ['buffer; pcrexform:"expression(group)"'],
  value: 'required',
  parse(draft, option: OptionText) {
    const arg = option.unquoted();
    const text = arg.text.replace(/\\([";:])/g, '$1');
    let pcre: Pcre;
    try {
      pcre = new Pcre(text, 0, PCRE_MATCH_LIMIT, PCRE_DEPTH_LIMIT);
    } catch (error) {
      option.fail(arg, `bad regular expression: ${error instanceof Error ? error.message : String(error)}`, [], 'bad-pattern');
    }
    attach(draft, option, new PcreXform(pcre, text));
  },
});
