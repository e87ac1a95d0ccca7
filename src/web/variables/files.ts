/** Uploaded files and the findings of the multipart parser. */
import { strictError, type MultipartFlags } from '../body/multipart-flags.js';
import type { TransactionState, UploadedFile } from '../engine/state.js';
import { collection, numeric } from './variable.js';

const SINCE_BODY = { changesAt: [2] } as const;

function perFile<const Name extends string>(name: Name, help: string, value: (file: UploadedFile) => string) {
  return collection({
    name,
    help,
    ...SINCE_BODY,
    fill(state, list) {
      for (const file of state.files) list.add(file.field, value(file));
    },
  });
}

export const files = perFile('FILES', 'File names as the client gave them, by form field.', (file) => file.name);
export const filesNames = perFile('FILES_NAMES', 'Names of the form fields that carry files.', (file) => file.field);
export const filesSizes = perFile('FILES_SIZES', 'Sizes of the files in bytes, by form field.', (file) => String(file.size));
export const filesTmpContent = perFile('FILES_TMP_CONTENT', 'Contents of the files, by form field.', (file) => file.content);
export const filesCombinedSize = numeric(
  'FILES_COMBINED_SIZE',
  'Bytes of all files together.',
  (state) => state.files.reduce((sum, file) => sum + file.size, 0),
  SINCE_BODY,
);
export const multipartPartHeaders = collection({
  name: 'MULTIPART_PART_HEADERS',
  help: 'Header lines of the parts of a multipart body, by the name of the part.',
  fill: () => undefined,
  direct: (s) => s.partHeaders,
});
export const multipartFilename = perFile('MULTIPART_FILENAME', 'File names of the parts, by form field.', (file) => file.name);
export const multipartName = perFile('MULTIPART_NAME', 'Field names of the parts that carry files.', (file) => file.field);

function flag<const Name extends string>(name: Name, help: string, test: (flags: MultipartFlags, state: TransactionState) => boolean) {
  return numeric(name, help, (state) => (test(state.multipart, state) ? 1 : 0), SINCE_BODY);
}

export const multipartBoundaryQuoted = flag('MULTIPART_BOUNDARY_QUOTED', '1 when the boundary parameter was quoted.', (f) => f.boundaryQuoted);
export const multipartBoundaryWhitespace = flag('MULTIPART_BOUNDARY_WHITESPACE', '1 when white space stood around the boundary parameter.', (f) => f.boundaryWhitespace);
export const multipartDataBefore = flag('MULTIPART_DATA_BEFORE', '1 when data preceded the first boundary.', (f) => f.dataBefore);
export const multipartDataAfter = flag('MULTIPART_DATA_AFTER', '1 when data followed the last boundary.', (f) => f.dataAfter);
export const multipartHeaderFolding = flag('MULTIPART_HEADER_FOLDING', '1 when a part header was folded.', (f) => f.headerFolding);
export const multipartLfLine = flag('MULTIPART_LF_LINE', '1 when a line of the structure ended in LF alone.', (f) => f.lfLine);
export const multipartCrlfLfLines = flag('MULTIPART_CRLF_LF_LINES', '1 when both line ends were used.', (f) => f.crlfLine && f.lfLine);
export const multipartMissingSemicolon = flag('MULTIPART_MISSING_SEMICOLON', '1 when no semicolon stood before the boundary parameter.', (f) => f.missingSemicolon);
export const multipartSemicolonMissing = flag('MULTIPART_SEMICOLON_MISSING', 'Older name of MULTIPART_MISSING_SEMICOLON.', (f) => f.missingSemicolon);
export const multipartInvalidQuoting = flag('MULTIPART_INVALID_QUOTING', '1 when a part header used single quotes.', (f) => f.invalidQuoting);
export const multipartInvalidPart = flag('MULTIPART_INVALID_PART', '1 when the body ended within the headers of a part.', (f) => f.invalidPart);
export const multipartInvalidHeaderFolding = flag('MULTIPART_INVALID_HEADER_FOLDING', '1 when a part header was folded with something else than blank or tab.', (f) => f.invalidHeaderFolding);
export const multipartFileLimitExceeded = flag('MULTIPART_FILE_LIMIT_EXCEEDED', '1 when there were more files than SecUploadFileLimit.', (f) => f.fileLimitExceeded);
export const multipartStrictError = flag('MULTIPART_STRICT_ERROR', '1 when any of the multipart findings is set.', (f) => strictError(f));
export const multipartUnmatchedBoundary = numeric(
  'MULTIPART_UNMATCHED_BOUNDARY',
  'A line began like a boundary and was none: 1 when the true boundaries were not all there either, 2 when they were.',
  (state) => state.multipart.unmatchedBoundary,
  SINCE_BODY,
);
