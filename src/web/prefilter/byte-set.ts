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
  #members: Uint8Array | null = null;

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

  /** In ascending order. */
  get members(): Uint8Array {
    this.#members ??= Uint8Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => this.has(byte));
    return this.#members;
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

  intersection(other: ByteSet): ByteSet {
    return new ByteSet(this.words.map((word, i) => word & other.words[i]!));
  }

  get isEmpty(): boolean {
    return this.words.every((word) => word === 0);
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

  /** Bytes of names, numbers, words, addresses and URLs. */
  static readonly ORDINARY = ByteSet.of('0-9A-Za-z _./:,@+=%?&').union(ByteSet.single(0x2d));

  /** Every letter is there in both cases or in neither. */
  get isCaseClosed(): boolean {
    for (let upper = 0x41; upper <= 0x5a; upper++) if (this.has(upper) !== this.has(upper | 0x20)) return false;
    return true;
  }

  /**
   * As part of a regular expression: a byte or a class.
   * @param caseless the expression compares without case, so that capital letters can be left out
   */
  print(caseless: boolean): string {
    const set = caseless ? this.intersection(NO_CAPITALS) : this;
    const ranges: string[] = [];
    let single = true;
    for (let byte = 0; byte < 256; byte++) {
      if (!set.has(byte)) continue;
      const low = byte;
      while (byte < 255 && set.has(byte + 1)) byte++;
      if (byte > low) single = false;
      ranges.push(byte > low ? `${escaped(low)}-${escaped(byte)}` : escaped(low));
    }
    return single && ranges.length === 1 ? ranges[0]! : `[${ranges.join('')}]`;
  }
}

const NO_CAPITALS = ByteSet.of('A-Z').complement();

/** Bytes that mean themselves wherever they stand in an expression. */
const PLAIN = /^[0-9A-Za-z_ ,;:=@%&~"'<>/]$/;

function escaped(byte: number): string {
  const c = String.fromCharCode(byte);
  return PLAIN.test(c) ? c : `\\x${byte.toString(16).padStart(2, '0')}`;
}
