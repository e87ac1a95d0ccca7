/** The IP addresses a port may use, in the form the packet path compares: prefixes as words and masks. */
import { parsePrefix, prefixMask } from '../packet/index.js';

export class AddressList {
  private readonly v4: Int32Array; // word, mask
  private readonly v6: Int32Array; // 4 words, 4 masks

  /** @param prefixes addresses or CIDR prefixes, IPv4 and IPv6 @throws SyntaxError naming the text */
  constructor(prefixes: readonly string[]) {
    const v4: number[] = [];
    const v6: number[] = [];
    for (const text of prefixes) {
      const prefix = parsePrefix(text);
      if (prefix.version === 4) v4.push(prefix.words[0]!, prefixMask(prefix.prefixLen));
      else v6.push(...prefix.words, ...[0, 32, 64, 96].map((bit) => prefixMask(prefix.prefixLen - bit)));
    }
    this.v4 = Int32Array.from(v4);
    this.v6 = Int32Array.from(v6);
  }

  /** Only see whether a text is an address or prefix. @throws SyntaxError naming it */
  static check(text: string): void {
    parsePrefix(text);
  }

  has4(word: number): boolean {
    const list = this.v4;
    for (let i = 0; i < list.length; i += 2) if (((word ^ list[i]!) & list[i + 1]!) === 0) return true;
    return false;
  }

  has6(w0: number, w1: number, w2: number, w3: number): boolean {
    const list = this.v6;
    for (let i = 0; i < list.length; i += 8) {
      const differ =
        ((w0 ^ list[i]!) & list[i + 4]!) | ((w1 ^ list[i + 1]!) & list[i + 5]!) | ((w2 ^ list[i + 2]!) & list[i + 6]!) | ((w3 ^ list[i + 3]!) & list[i + 7]!);
      if (differ === 0) return true;
    }
    return false;
  }
}
