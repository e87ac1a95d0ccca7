/**
 * The Huffman code of HPACK (RFC 7541 appendix B). The code is canonical: the lengths determine it. Decoding walks a state
 * table four bits at a time; the shortest code has five bits, so a step yields one symbol at most.
 */

/** Code lengths of the symbols 0 to 256 (256 is EOS), as runs of [length, count]. */
const LENGTHS: readonly (readonly [number, number])[] = [
  [13, 1], [23, 1], [28, 7], [24, 1], [30, 1], [28, 2], [30, 1], [28, 8], [30, 1], [28, 9], // 0-31
  [6, 1], [10, 2], [12, 1], [13, 1], [6, 1], [8, 1], [11, 1], [10, 2], [8, 1], [11, 1], [8, 1], [6, 3], // space to '/'
  [5, 3], [6, 7], [7, 1], [8, 1], [15, 1], [6, 1], [12, 1], [10, 1], // '0' to '?'
  [13, 1], [6, 1], [7, 22], [8, 1], [7, 1], [8, 1], [13, 1], [19, 1], [13, 1], [14, 1], [6, 1], // '@' to '_'
  [15, 1], [5, 1], [6, 1], [5, 1], [6, 1], [5, 1], [6, 3], [5, 1], [7, 2], [6, 3], [5, 1], [6, 1], [7, 1], [6, 1], [5, 2], [6, 1], [7, 5],
  [15, 1], [11, 1], [14, 1], [13, 1], [28, 1], // '`' to 127
  [20, 1], [22, 1], [20, 2], [22, 3], [23, 1], [22, 1], [23, 5], [24, 1], [23, 1], [24, 2], [22, 1], [23, 1], [24, 1], [23, 4], [21, 1], [22, 1], [23, 1], [22, 1], [23, 2], [24, 1], // 128-159
  [22, 1], [21, 1], [20, 1], [22, 2], [23, 2], [21, 1], [23, 1], [22, 2], [24, 1], [21, 1], [22, 1], [23, 2], [21, 2], [22, 1], [21, 1], [23, 1], [22, 1], [23, 2], [20, 1], [22, 3], [23, 1], [22, 2], [23, 1], // 160-191
  [26, 2], [20, 1], [19, 1], [22, 1], [23, 1], [22, 1], [25, 1], [26, 3], [27, 2], [26, 1], [24, 1], [25, 1], [19, 1], [21, 1], [26, 1], [27, 2], [26, 1], [27, 1], [24, 1], [21, 2], [26, 2], [28, 1], [27, 3], // 192-223
  [20, 1], [24, 1], [20, 1], [21, 1], [22, 1], [21, 2], [23, 1], [22, 2], [25, 2], [24, 2], [26, 1], [23, 1], [26, 1], [27, 1], [26, 2], [27, 5], [28, 1], [27, 5], [26, 1], // 224-255
  [30, 1],
];

const EOS = 256;
/** No symbol is complete yet. */
const NONE = -1;
/** No code leads here. */
const FAIL = 0xffff;

interface Table {
  /** By state * 16 + four bits. */
  readonly next: Uint16Array;
  readonly symbol: Int16Array;
  /** The bits since the last symbol are padding: fewer than eight, all ones. */
  readonly mayEnd: Uint8Array;
}

let table: Table | null = null;

/** A code tree as two children per node; negative = leaf of symbol -1 - child. */
function buildTree(): Int32Array {
  const lengths = LENGTHS.flatMap(([length, count]) => Array.from({ length: count }, () => length));
  const symbols = lengths.map((length, symbol) => ({ length, symbol })).sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  const children = new Int32Array(EOS * 2 + 2);
  let nodes = 1;
  let code = 0;
  let before = symbols[0]!.length;
  for (const { length, symbol } of symbols) {
    code *= 2 ** (length - before);
    before = length;
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const at = node * 2 + (Math.floor(code / 2 ** bit) & 1);
      if (children[at] === 0) children[at] = nodes++;
      node = children[at]!;
    }
    children[node * 2 + (code & 1)] = -1 - symbol;
    code++;
  }
  return children.slice(0, nodes * 2);
}

function buildTable(): Table {
  const children = buildTree();
  const states = children.length / 2;
  const next = new Uint16Array(states * 16);
  const symbol = new Int16Array(states * 16).fill(NONE);
  for (let state = 0; state < states; state++) {
    for (let bits = 0; bits < 16; bits++) {
      const at = state * 16 + bits;
      let node = state;
      for (let bit = 3; bit >= 0 && node !== FAIL; bit--) {
        const child = children[node * 2 + ((bits >> bit) & 1)]!;
        if (child >= 0) node = child;
        else if (child === -1 - EOS) node = FAIL; // RFC 7541 section 5.2: EOS in a string is an error
        else {
          symbol[at] = -1 - child;
          node = 0;
        }
      }
      next[at] = node;
    }
  }
  const mayEnd = new Uint8Array(states);
  for (let ones = 0, node = 0; ones < 8; ones++) {
    mayEnd[node] = 1;
    node = children[node * 2 + 1]!;
  }
  return { next, symbol, mayEnd };
}

/**
 * Decode src[off, off+len) to dst from `at` on, which has room for 8/5 of it.
 * @returns bytes written, -1 when it is not in the code
 */
export function huffmanDecode(src: Uint8Array, off: number, len: number, dst: Uint8Array, at: number): number {
  const { next, symbol, mayEnd } = (table ??= buildTable());
  let state = 0;
  let out = at;
  for (let i = off; i < off + len; i++) {
    const byte = src[i]!;
    for (let half = 0; half < 2; half++) {
      const row = state * 16 + (half === 0 ? byte >> 4 : byte & 15);
      if (symbol[row]! >= 0) dst[out++] = symbol[row]!;
      state = next[row]!;
      if (state === FAIL) return -1;
    }
  }
  return mayEnd[state] === 1 ? out - at : -1;
}
