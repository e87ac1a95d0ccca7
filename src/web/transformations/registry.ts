/** The table of transformations. Adding one: its file in this folder, one import and one row here. */
import { base64Decode } from './base64-decode.js';
import { base64DecodeExt } from './base64-decode-ext.js';
import { base64Encode } from './base64-encode.js';
import { cmdLine } from './cmd-line.js';
import { compressWhitespace } from './compress-whitespace.js';
import { cssDecode } from './css-decode.js';
import { escapeSeqDecode } from './escape-seq-decode.js';
import { hexDecode } from './hex-decode.js';
import { hexEncode } from './hex-encode.js';
import { htmlEntityDecode } from './html-entity-decode.js';
import { jsDecode } from './js-decode.js';
import { length } from './length.js';
import { lowercase } from './lowercase.js';
import { md5 } from './md5.js';
import { normalizePath, normalizePathWin } from './normalize-path.js';
import { parityEven7bit, parityOdd7bit, parityZero7bit } from './parity.js';
import { phpArgsNames } from './php-args-names.js';
import { removeComments } from './remove-comments.js';
import { removeCommentsChar } from './remove-comments-char.js';
import { removeNulls } from './remove-nulls.js';
import { removeWhitespace } from './remove-whitespace.js';
import { replaceComments } from './replace-comments.js';
import { replaceNulls } from './replace-nulls.js';
import { sha1 } from './sha1.js';
import { sqlHexDecode } from './sql-hex-decode.js';
import type { Transformation } from './transformation.js';
import { trim, trimLeft, trimRight } from './trim.js';
import { uppercase } from './uppercase.js';
import { urlDecode } from './url-decode.js';
import { urlDecodeUni } from './url-decode-uni.js';
import { urlEncode } from './url-encode.js';
import { utf8toUnicode } from './utf8-to-unicode.js';

export const TRANSFORMATIONS: readonly Transformation[] = [
  base64Decode,
  base64DecodeExt,
  base64Encode,
  cmdLine,
  compressWhitespace,
  cssDecode,
  escapeSeqDecode,
  hexDecode,
  hexEncode,
  htmlEntityDecode,
  jsDecode,
  length,
  lowercase,
  md5,
  normalizePath,
  normalizePathWin,
  parityEven7bit,
  parityOdd7bit,
  parityZero7bit,
  phpArgsNames,
  removeComments,
  removeCommentsChar,
  removeNulls,
  removeWhitespace,
  replaceComments,
  replaceNulls,
  sha1,
  sqlHexDecode,
  trim,
  trimLeft,
  trimRight,
  uppercase,
  urlDecode,
  urlDecodeUni,
  urlEncode,
  utf8toUnicode,
];


const BY_NAME = new Map<string, Transformation>();
for (const row of TRANSFORMATIONS) {
  for (const name of [row.name, ...(row.aliases ?? [])]) {
    if (BY_NAME.has(name.toLowerCase())) throw new Error(`transformation ${name} is registered twice`);
    BY_NAME.set(name.toLowerCase(), row);
  }
}

/** The transformation of this name or alias, in any case. `none` is no transformation: the rule parser handles it. */
export function findTransformation(name: string): Transformation | undefined {
  return BY_NAME.get(name.toLowerCase());
}

/** Names for messages and documentation. */
export function transformationNames(): string[] {
  return TRANSFORMATIONS.map((row) => row.name);
}
