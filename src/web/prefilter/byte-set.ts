/** Immutable sets of bytes, with a measure of how often ordinary request text holds one of them. */

const LETTER_OR_DIGIT = 64;
const ORDINARY = 8;
const SPECIAL = 1;

/** How common a byte is in names, numbers, words, addresses and URLs; powers of two apart, since only the order counts. */
const WEIGHTS = Uint16Array.from({ length: 256 }, (_, byte) => {
  const c = String.fromCharCode(byte);
  if (/[0-9A-Za-z]/.test(c)) return LETTER_OR_DIGIT;
  return /[ _./:,@+=%?&-]/.test(c) ? ORDINARY : SPECIAL;
});

export class ByteSet {
  static readonly NONE = new ByteSet(new Uint32Array(8));
  static readonly ALL = ByteSet.NONE.complement();

  /** Bit b & 31 of word b >> 5 for byte b. */
  readonly words: Uint32Array;

  private constructor(words: Uint32Array) {
    this.words = words;
  }

  static single(byte: number): ByteSet {
    const words = new Uint32Array(8);
    words[byte >> 5] = 1 << (byte & 31);
    return new ByteSet(words);
  }

  /** Bytes and ranges as in a class of a regular expression, without escapes: `0-9A-Za-z_`. */
  static of(text: string): ByteSet {
    const words = new Uint32Array(8);
    for (let i = 0; i < text.length; i++) {
      const low = text.charCodeAt(i);
      let high = low;
      if (text[i + 1] === '-' && i + 2 < text.length) {
        high = text.charCodeAt(i + 2);
        i += 2;
      }
      for (let byte = low; byte <= high; byte++) words[byte >> 5]! |= 1 << (byte & 31);
    }
    return new ByteSet(words);
  }

  has(byte: number): boolean {
    return ((this.words[byte >> 5]! >>> (byte & 31)) & 1) === 1;
  }

  union(other: ByteSet): ByteSet {
    return new ByteSet(this.words.map((word, i) => word | other.words[i]!));
  }

  complement(): ByteSet {
    return new ByteSet(this.words.map((word) => ~word));
  }

  isSubsetOf(other: ByteSet): boolean {
    return this.words.every((word, i) => (word & ~other.words[i]!) === 0);
  }

  /** Sum of the members' frequencies: the smaller, the rarer is a value that holds one of them. */
  get weight(): number {
    let sum = 0;
    for (let byte = 0; byte < 256; byte++) if (this.has(byte)) sum += WEIGHTS[byte]!;
    return sum;
  }

  /** Bytes that names, numbers, words, addresses and URLs usually do without. */
  static readonly SPECIAL = ByteSet.of('0-9A-Za-z _./:,@+=%?&').union(ByteSet.single(0x2d)).complement();
}
