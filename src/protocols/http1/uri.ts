/**
 * Request-target parsing and normalisation as an IDS wants it: percent and %u decoding, backslashes and repeated slashes as
 * one slash, dot segments removed, overlong and wide characters mapped to what servers take them for. Nothing fails: what
 * cannot be decoded stays as it is.
 */
import { hexValue } from '../bytes.js';

export interface UriOptions {
  /** Decode the path / the query a second time (double-decode-path, double-decode-query). */
  readonly doubleDecodePath: boolean;
  readonly doubleDecodeQuery: boolean;
  /** Include scheme and authority in http.uri (uri-include-all). */
  readonly includeAll: boolean;
  /** Turn '+' of the query into a space (query-plusspace-decode). */
  readonly plusSpace: boolean;
}

export const DEFAULT_URI_OPTIONS: UriOptions = { doubleDecodePath: false, doubleDecodeQuery: false, includeAll: false, plusSpace: false };

/** Where the parts of a request target lie; -1 = absent. Reused, one per module: parsing is never nested. */
export class UriParts {
  host = -1;
  hostEnd = -1;
  port = -1;
  portEnd = -1;
  path = -1;
  query = -1;
  fragment = -1;

  /** RFC 3986 section 3, read the way servers do: no scheme means the whole target is a path. */
  parse(buf: Uint8Array, off: number, end: number): void {
    this.host = this.hostEnd = this.port = this.portEnd = this.path = this.query = this.fragment = -1;
    let pos = off;
    if (pos < end && buf[pos] !== 47) {
      let colon = pos;
      while (colon < end && buf[colon] !== 58) colon++;
      if (colon < end && colon + 2 < end && buf[colon + 1] === 47 && buf[colon + 2] === 47) {
        pos = this.#authority(buf, colon + 3, end);
      }
    }
    let i = pos;
    while (i < end && buf[i] !== 63 && buf[i] !== 35) i++;
    this.path = pos;
    if (i < end && buf[i] === 63) {
      this.query = i;
      while (i < end && buf[i] !== 35) i++;
    }
    if (i < end) this.fragment = i;
  }

  #authority(buf: Uint8Array, start: number, end: number): number {
    let stop = start;
    while (stop < end && buf[stop] !== 47 && buf[stop] !== 63 && buf[stop] !== 35) stop++;
    let host = start;
    for (let i = start; i < stop; i++) if (buf[i] === 64) host = i + 1;
    this.hostPort(buf, host, stop);
    return stop;
  }

  /** host[:port], also [v6]:port (RFC 3986 section 3.2). */
  hostPort(buf: Uint8Array, off: number, end: number): void {
    this.host = off;
    this.hostEnd = end;
    this.port = this.portEnd = -1;
    let i = off;
    if (buf[off] === 91) while (i < end && buf[i] !== 93) i++;
    while (i < end && buf[i] !== 58) i++;
    if (i < end) {
      this.hostEnd = i;
      this.port = i + 1;
      this.portEnd = end;
    }
  }
}

/** True when the target is already in normal form, so that its bytes can be used as they are. */
export function isNormal(buf: Uint8Array, off: number, end: number): boolean {
  if (off >= end || buf[off] !== 47) return false;
  let path = true;
  let previous = 0;
  for (let i = off; i < end; i++) {
    const c = buf[i]!;
    if (c === 37 || c >= 128 || c === 43) return false;
    if (path) {
      if (c === 63) path = false;
      else if (c === 92 || c === 35) return false;
      else if (previous === 47 && (c === 47 || c === 46)) return false;
    }
    previous = c;
  }
  return true;
}

const bestFitCache = new Map<number, number>();

/**
 * The byte a server with a single-byte code page takes a character for: the base letter of accented and full-width letters,
 * the byte itself below 256, '?' for everything else (best-fit mapping).
 */
function bestFit(code: number): number {
  if (code < 256) return code;
  let byte = bestFitCache.get(code);
  if (byte === undefined) {
    const base = code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0xffff : String.fromCodePoint(code).normalize('NFKD').codePointAt(0)!;
    byte = code === 0x2215 || code === 0x2044 ? 47 : base < 256 ? base : 63;
    if (bestFitCache.size < 4096) bestFitCache.set(code, byte);
  }
  return byte;
}

/** Read %XX or %uXXXX at i. @returns bytes read << 8 | byte, or 0 when it is not a valid escape */
function escape(buf: Uint8Array, i: number, end: number): number {
  if (i + 2 < end) {
    const hi = hexValue(buf[i + 1]!);
    const lo = hexValue(buf[i + 2]!);
    if (hi >= 0 && lo >= 0) return (3 << 8) | (hi << 4) | lo;
    if ((buf[i + 1]! | 32) === 117 && i + 5 < end) {
      let code = 0;
      for (let k = 2; k < 6; k++) {
        const v = hexValue(buf[i + k]!);
        if (v < 0) return 0;
        code = (code << 4) | v;
      }
      return (6 << 8) | bestFit(code);
    }
  }
  return 0;
}

/** Decode escapes in place. @returns the new end */
function decode(buf: Uint8Array, off: number, end: number, plus: boolean): number {
  let w = off;
  for (let i = off; i < end; ) {
    const c = buf[i]!;
    if (c === 37) {
      const e = escape(buf, i, end);
      if (e !== 0) {
        buf[w++] = e & 255;
        i += e >> 8;
        continue;
      }
    }
    buf[w++] = plus && c === 43 ? 32 : c;
    i++;
  }
  return w;
}

/** Decode a path in place, backslashes and runs of slashes becoming one slash. @returns the new end */
function decodePath(buf: Uint8Array, off: number, end: number): number {
  let w = off;
  let previousSlash = false;
  for (let i = off; i < end; ) {
    let c = buf[i]!;
    let n = 1;
    if (c === 37) {
      const e = escape(buf, i, end);
      if (e !== 0) {
        c = e & 255;
        n = e >> 8;
      }
    }
    i += n;
    if (c === 92) c = 47;
    if (c === 47 && previousSlash) continue;
    previousSlash = c === 47;
    buf[w++] = c;
  }
  return w;
}

/** Replace UTF-8 sequences, overlong ones too, by their best-fit byte. @returns the new end */
function utf8ToBytes(buf: Uint8Array, off: number, end: number): number {
  let w = off;
  for (let i = off; i < end; ) {
    const c = buf[i]!;
    const more = c >= 0xf0 && c < 0xf8 ? 3 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xc0 && c < 0xe0 ? 1 : 0;
    let code = more === 3 ? c & 7 : more === 2 ? c & 15 : c & 31;
    let k = 1;
    while (k <= more && i + k < end && (buf[i + k]! & 0xc0) === 0x80) code = (code << 6) | (buf[i + k++]! & 63);
    if (more > 0 && k === more + 1) {
      buf[w++] = bestFit(code);
      i += k;
    } else {
      buf[w++] = c;
      i++;
    }
  }
  return w;
}

/** RFC 3986 section 5.2.4, in place. @returns the new end */
export function removeDotSegments(buf: Uint8Array, off: number, end: number): number {
  let w = off;
  let r = off;
  while (r < end) {
    // r is at a segment start: "/..." or the relative first segment
    const slash = buf[r] === 47;
    const seg = slash ? r + 1 : r;
    let next = seg;
    while (next < end && buf[next] !== 47) next++;
    const len = next - seg;
    if (len === 1 && buf[seg] === 46) {
      if (next === end && slash) buf[w++] = 47;
    } else if (len === 2 && buf[seg] === 46 && buf[seg + 1] === 46) {
      while (w > off && buf[w - 1] !== 47) w--;
      if (w > off) w--;
      if (next === end && slash) buf[w++] = 47;
    } else {
      while (r < next) buf[w++] = buf[r++]!;
    }
    r = next;
    if (!slash && w === off && r < end && (len === 1 || len === 2) && buf[seg] === 46) r++; // "../a" and "./a" lose their slash too
  }
  return w;
}

const scratchParts = new UriParts();

/** The normalised target (http.uri): path, query and fragment, with scheme and authority only when asked for. */
export function normaliseUri(buf: Uint8Array, off: number, end: number, options: UriOptions): Uint8Array {
  const parts = scratchParts;
  parts.parse(buf, off, end);
  const out = new Uint8Array(end - off);
  let w = 0;
  if (options.includeAll) for (let i = off; i < parts.path; i++) out[w++] = buf[i]!;
  const pathEnd = parts.query >= 0 ? parts.query : parts.fragment >= 0 ? parts.fragment : end;
  const pathAt = w;
  for (let i = parts.path; i < pathEnd; i++) out[w++] = buf[i]!;
  w = decodePath(out, pathAt, w);
  if (options.doubleDecodePath) w = decodePath(out, pathAt, w);
  w = utf8ToBytes(out, pathAt, w);
  w = removeDotSegments(out, pathAt, w);
  if (parts.query >= 0) {
    const queryEnd = parts.fragment >= 0 ? parts.fragment : end;
    out[w++] = 63;
    const queryAt = w;
    for (let i = parts.query + 1; i < queryEnd; i++) out[w++] = buf[i]!;
    w = decode(out, queryAt, w, options.plusSpace);
    if (options.doubleDecodeQuery) w = decode(out, queryAt, w, options.plusSpace);
  }
  if (parts.fragment >= 0) for (let i = parts.fragment; i < end; i++) out[w++] = buf[i]!;
  return out.subarray(0, w);
}
