/** Why a capture file cannot be read (further). Frames before the fault were delivered. */
export class CaptureError extends Error {
  override readonly name = 'CaptureError';
  /**
   * @param file path as given
   * @param offset byte offset of the fault, in the decompressed stream for .gz files
   * @param reason what is wrong, in words
   */
  constructor(
    readonly file: string,
    readonly offset: number,
    readonly reason: string,
  ) {
    super(`${file}: ${reason} (at byte ${offset})`);
  }
}
