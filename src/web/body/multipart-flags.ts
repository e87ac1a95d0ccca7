/** What the multipart parser found odd: the MULTIPART_* variables. Names in the comments are the variables'. */
export interface MultipartFlags {
  /** MULTIPART_BOUNDARY_QUOTED */
  readonly boundaryQuoted: boolean;
  /** MULTIPART_BOUNDARY_WHITESPACE */
  readonly boundaryWhitespace: boolean;
  /** MULTIPART_DATA_BEFORE */
  readonly dataBefore: boolean;
  /** MULTIPART_DATA_AFTER */
  readonly dataAfter: boolean;
  /** MULTIPART_HEADER_FOLDING */
  readonly headerFolding: boolean;
  /** MULTIPART_LF_LINE */
  readonly lfLine: boolean;
  /** A line ended in CR LF; with lfLine: MULTIPART_CRLF_LF_LINES */
  readonly crlfLine: boolean;
  /** MULTIPART_MISSING_SEMICOLON */
  readonly missingSemicolon: boolean;
  /** MULTIPART_INVALID_QUOTING */
  readonly invalidQuoting: boolean;
  /** MULTIPART_INVALID_PART */
  readonly invalidPart: boolean;
  /** MULTIPART_INVALID_HEADER_FOLDING */
  readonly invalidHeaderFolding: boolean;
  /** MULTIPART_FILE_LIMIT_EXCEEDED */
  readonly fileLimitExceeded: boolean;
  /** MULTIPART_UNMATCHED_BOUNDARY: 1 a line looked like a boundary and the true ones were not all there, 2 they were */
  readonly unmatchedBoundary: 0 | 1 | 2;
  /** The body could not be parsed. */
  readonly error: boolean;
}

export const NO_MULTIPART_FLAGS: MultipartFlags = {
  boundaryQuoted: false,
  boundaryWhitespace: false,
  dataBefore: false,
  dataAfter: false,
  headerFolding: false,
  lfLine: false,
  crlfLine: false,
  missingSemicolon: false,
  invalidQuoting: false,
  invalidPart: false,
  invalidHeaderFolding: false,
  fileLimitExceeded: false,
  unmatchedBoundary: 0,
  error: false,
};

/** MULTIPART_STRICT_ERROR: any of the single findings but the unmatched boundary, which has a rule of its own. */
export function strictError(f: MultipartFlags): boolean {
  return (
    f.error || f.boundaryQuoted || f.boundaryWhitespace || f.dataBefore || f.dataAfter || f.headerFolding || f.lfLine ||
    f.missingSemicolon || f.invalidQuoting || f.invalidPart || f.invalidHeaderFolding || f.fileLimitExceeded
  );
}
