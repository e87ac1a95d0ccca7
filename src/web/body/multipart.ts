/**
 * multipart/form-data bodies (RFC 7578), read as strictly as ModSecurity does: whatever two parsers might read differently sets
 * a flag or is an error. Works on the whole body line by line; every byte is looked at a bounded number of times.
 */
import type { EntryList } from '../engine/entry-list.js';
import type { UploadedFile } from '../engine/state.js';
import type { ByteString } from '../value.js';
import { parseContentDisposition } from './content-disposition.js';
import { NO_MULTIPART_FLAGS, type MultipartFlags } from './multipart-flags.js';

/** Longest header line of a part. */
const MAX_HEADER_LINE = 4096;
/** Longest Content-Type that is searched for a boundary. */
const MAX_CONTENT_TYPE = 1024;

export interface MultipartTarget {
  readonly args: EntryList;
  readonly files: UploadedFile[];
  readonly partHeaders: EntryList;
}

export interface MultipartResult {
  readonly flags: MultipartFlags;
  /** '' when the body was read to its end. */
  readonly error: string;
  /** Bytes of the body that belong to no file. */
  readonly noFilesLength: number;
}

class MultipartError extends Error {}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** @param contentType value of the Content-Type field */
export function parseMultipart(body: ByteString, contentType: ByteString, argumentsLimit: number, fileLimit: number, target: MultipartTarget): MultipartResult {
  const reader = new MultipartReader(body, argumentsLimit, fileLimit, target);
  let error = '';
  try {
    reader.read(contentType);
  } catch (thrown) {
    if (!(thrown instanceof MultipartError)) throw thrown;
    error = thrown.message;
    reader.flags.error = true;
  }
  if (reader.flags.unmatchedBoundary !== 0 && reader.complete) reader.flags.unmatchedBoundary = 2;
  return { flags: reader.flags, error, noFilesLength: reader.noFilesLength };
}

class MultipartReader {
  readonly flags: Writable<MultipartFlags> = { ...NO_MULTIPART_FLAGS };
  noFilesLength = 0;
  /** The final boundary was seen. */
  complete = false;
  readonly #body: ByteString;
  readonly #argumentsLimit: number;
  readonly #fileLimit: number;
  readonly #target: MultipartTarget;
  #boundary: ByteString = '';
  #boundaries = 0;
  // the part being read
  #inPart = false;
  #inHeaders = false;
  #headers: { name: ByteString; value: ByteString }[] = [];
  #name: ByteString = '';
  #fileName: ByteString | null = null;
  #dataStart = 0;

  constructor(body: ByteString, argumentsLimit: number, fileLimit: number, target: MultipartTarget) {
    this.#body = body;
    this.#argumentsLimit = argumentsLimit;
    this.#fileLimit = fileLimit;
    this.#target = target;
  }

  read(contentType: ByteString): void {
    this.#boundary = this.#findBoundary(contentType);
    const body = this.#body;
    let pos = 0;
    while (pos < body.length && !this.complete) {
      const lf = body.indexOf('\n', pos);
      const end = lf < 0 ? body.length : lf + 1;
      if (!this.#boundaryLine(pos, end)) this.#dataLine(pos, end);
      pos = end;
    }
    if (this.complete) {
      if (pos < body.length) this.flags.dataAfter = true;
      return;
    }
    if (body.length === 0) return;
    if (this.#inPart && this.#inHeaders) this.flags.invalidPart = true;
    if (this.#inPart && !this.#inHeaders) this.#finishPart(body.length, false);
    this.#fail(this.#boundaries > 0 ? 'Final boundary missing' : 'No boundaries found in payload');
  }

  /** The boundary parameter; everything odd about how it is written is flagged or refused. */
  #findBoundary(contentType: ByteString): ByteString {
    if (contentType.length > MAX_CONTENT_TYPE) this.#fail('Invalid boundary in C-T (length)');
    const lower = contentType.toLowerCase();
    if (!lower.startsWith('multipart/form-data')) this.#fail('Invalid MIME type');
    const count = countBoundaryParameters(lower);
    if (count > 1) this.#fail('Multiple boundary parameters in C-T');
    const at = contentType.indexOf('boundary');
    if (at < 0) this.#fail(count > 0 ? 'Invalid boundary in C-T (case sensitivity)' : 'Boundary not found in C-T');
    const before = contentType.slice('multipart/form-data'.length, at).replace(SPACES, '');
    if (before !== ';' && before !== '') this.#fail('Invalid boundary in C-T (malformed)');
    if (before === '') this.flags.missingSemicolon = true;
    const equals = contentType.indexOf('=', at + 8);
    if (equals < 0) this.#fail('Invalid boundary in C-T (malformed)');
    const between = contentType.slice(at + 8, equals);
    if (between !== '') {
      if (between.replace(SPACES, '') !== '') this.#fail('Invalid boundary in C-T (parameter name)');
      this.flags.boundaryWhitespace = true;
    }
    let boundary = contentType.slice(equals + 1);
    if (/^\s/.test(boundary)) this.flags.boundaryWhitespace = true;
    if (boundary.length >= 2 && boundary.startsWith('"') && boundary.endsWith('"')) {
      boundary = boundary.slice(1, -1);
      this.flags.boundaryQuoted = true;
    } else if (boundary.startsWith('"') || boundary.endsWith('"')) this.#fail('Invalid boundary in C-T (quote)');
    if (countBoundaryParameters(boundary.toLowerCase()) > 0) this.#fail('Invalid boundary in C-T (content)');
    if (boundary === '') this.#fail('Invalid boundary in C-T (empty)');
    if (!BOUNDARY.test(boundary) || FORBIDDEN.test(boundary)) this.#fail('Invalid boundary in C-T (characters)');
    return boundary;
  }

  /** @returns the line [start, end) was a boundary of this body */
  #boundaryLine(start: number, end: number): boolean {
    const body = this.#body;
    const boundary = this.#boundary;
    if (!body.startsWith('--', start)) {
      // a boundary in the middle of a line: other parsers might cut there
      const inside = end - start > boundary.length + 2 ? body.slice(start, end).indexOf(`--${boundary}`) : -1;
      if (inside >= 0) this.flags.unmatchedBoundary = 1;
      return false;
    }
    if (!body.startsWith(boundary, start + 2)) {
      if (end - start <= 3) return false;
      if (this.flags.boundaryQuoted && body.startsWith(`"${boundary}`, start + 2)) this.#fail('Invalid boundary (quotes)');
      let p = start + 2;
      while (p < end && isSpace(body.charCodeAt(p))) p++;
      if (p > start + 2 && body.startsWith(boundary, p)) this.#fail('Invalid boundary (whitespace)');
      this.flags.unmatchedBoundary = 1;
      return false;
    }
    let rest = body.slice(start + 2 + boundary.length, end);
    const final = rest.startsWith('--');
    if (final) rest = rest.slice(2);
    if (rest === '\r\n') this.flags.crlfLine = true;
    else if (rest === '\n') this.flags.lfLine = true;
    else if (rest !== '' || !final) this.#fail('Invalid boundary');
    if (this.#inPart) {
      if (this.#inHeaders) {
        this.flags.invalidPart = true;
        this.#fail('Part headers are not complete');
      }
      this.#finishPart(start, true);
    }
    this.#boundaries++;
    this.#inPart = !final;
    this.#inHeaders = !final;
    this.#headers = [];
    this.complete = final;
    return true;
  }

  #dataLine(start: number, end: number): void {
    if (!this.#inPart) {
      this.flags.dataBefore = true;
      return;
    }
    if (!this.#inHeaders) return;
    if (end - start > MAX_HEADER_LINE) this.#fail(`Part header line over ${MAX_HEADER_LINE} bytes long`);
    const raw = this.#body.slice(start, end);
    if (raw.includes('\0')) this.#fail('Nul byte in part headers');
    this.noFilesLength += raw.length;
    let line = raw;
    if (line.endsWith('\r\n')) {
      this.flags.crlfLine = true;
      line = line.slice(0, -2);
    } else if (line.endsWith('\n')) {
      this.flags.lfLine = true;
      line = line.slice(0, -1);
    }
    if (line === '') this.#endHeaders(end);
    else this.#headerLine(line);
  }

  #headerLine(line: ByteString): void {
    const first = line.charCodeAt(0);
    if (isSpace(first)) {
      this.flags.headerFolding = true;
      if (first !== 0x20 && first !== 0x09) this.flags.invalidHeaderFolding = true;
      const last = this.#headers[this.#headers.length - 1];
      if (last === undefined) this.#fail('Invalid part header (folding error)');
      last.value += ` ${line.replace(/^\s+/, '')}`;
      if (last.value.length > MAX_HEADER_LINE) this.#fail('Part header too long');
      return;
    }
    const colon = line.indexOf(':');
    if (colon < 0) this.#fail('Invalid part header (colon missing)');
    const name = line.slice(0, colon);
    if (colon === 0) this.#fail('Invalid part header (header name missing)');
    if (this.#headers.some((h) => h.name.toLowerCase() === name.toLowerCase())) this.#fail('Duplicate part header');
    this.#headers.push({ name, value: line.slice(colon + 1).replace(/^[ \t]+/, '') });
  }

  #endHeaders(dataStart: number): void {
    const disposition = this.#headers.find((h) => h.name.toLowerCase() === 'content-disposition');
    if (disposition === undefined) this.#fail('Part missing Content-Disposition header');
    const parsed = parseContentDisposition(disposition.value);
    if (typeof parsed === 'string') this.#fail(`Invalid Content-Disposition header (${parsed})`);
    if (parsed.singleQuotes) this.flags.invalidQuoting = true;
    if (parsed.name === null) this.#fail('Content-Disposition header missing name field');
    this.#name = parsed.name;
    this.#fileName = parsed.fileName;
    this.#inHeaders = false;
    this.#dataStart = dataStart;
    for (const header of this.#headers) this.#target.partHeaders.add(this.#name, `${header.name}: ${header.value}`);
  }

  /** @param end offset behind the part's data and the line end that belongs to the boundary */
  #finishPart(end: number, boundary: boolean): void {
    const body = this.#body;
    let stop = end;
    if (boundary && stop > this.#dataStart && body[stop - 1] === '\n') {
      stop--;
      if (stop > this.#dataStart && body[stop - 1] === '\r') stop--;
    }
    const content = body.slice(this.#dataStart, Math.max(stop, this.#dataStart));
    this.#inPart = false;
    if (this.#fileName !== null) {
      if (this.#target.files.length >= this.#fileLimit) {
        this.flags.fileLimitExceeded = true;
        this.#fail('Upload file limit exceeded SecUploadFileLimit');
      }
      this.#target.files.push({ field: this.#name, name: this.#fileName, size: content.length, content });
      return;
    }
    this.noFilesLength += content.length;
    if (this.#target.args.size >= this.#argumentsLimit) this.#fail('more parts than SecArgumentsLimit');
    this.#target.args.add(this.#name, content);
  }

  #fail(message: string): never {
    throw new MultipartError(`Multipart: ${message}.`);
  }
}

const SPACES = /\s+/g;
const BOUNDARY = /^[\x20-\x7e]+$/;
const FORBIDDEN = /[()<>@,;:\\"/[\]?=]/;

function isSpace(c: number): boolean {
  return c === 0x20 || (c >= 0x09 && c <= 0x0d);
}

/** How often `boundary` stands in the text with an `=` somewhere behind it. */
function countBoundaryParameters(lower: ByteString): number {
  const lastEquals = lower.lastIndexOf('=');
  let count = 0;
  for (let at = lower.indexOf('boundary'); at >= 0; at = lower.indexOf('boundary', at + 8)) if (lastEquals >= at + 8) count++;
  return count;
}
