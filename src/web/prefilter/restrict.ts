/**
 * What is left of an expression when values hold only bytes of an alphabet: parts that need other bytes can be left out.
 * `c["'\\]*a["'\\]*t` is `cat` among letters. Exact for such values, and often small where the expression is too large to compile.
 */
import type { ByteSet } from './byte-set.js';
import { EMPTY, type Node } from './regex-tree.js';

/** @returns null when the expression cannot match any value over the alphabet */
export function restrict(node: Node, alphabet: ByteSet): Node | null {
  switch (node.kind) {
    case 'set': {
      const set = node.set.intersection(alphabet);
      return set.isEmpty ? null : { kind: 'set', set };
    }
    case 'sequence': {
      const parts: Node[] = [];
      for (const part of node.parts) {
        const left = restrict(part, alphabet);
        if (left === null) return null;
        if (left !== EMPTY) parts.push(left);
      }
      return parts.length === 0 ? EMPTY : { kind: 'sequence', parts };
    }
    case 'alternatives': {
      const branches = node.branches.map((branch) => restrict(branch, alphabet)).filter((branch) => branch !== null);
      if (branches.length === 0) return null;
      if (branches.every((branch) => branch === EMPTY)) return EMPTY;
      return branches.length === 1 ? branches[0]! : { kind: 'alternatives', branches };
    }
    case 'repeat': {
      const part = restrict(node.part, alphabet);
      if (part === null) return node.min === 0 ? EMPTY : null;
      return part === EMPTY ? EMPTY : { ...node, part };
    }
    default:
      return node;
  }
}

/** The whole tree compares letters without case. */
export function isCaseless(node: Node): boolean {
  switch (node.kind) {
    case 'set':
      return node.set.isCaseClosed;
    case 'sequence':
      return node.parts.every(isCaseless);
    case 'alternatives':
      return node.branches.every(isCaseless);
    case 'repeat':
      return isCaseless(node.part);
    default:
      return true;
  }
}

/** Writes trees as expressions for the compiler of databases. */
export class RegexPrinter {
  readonly #alphabet: ByteSet;
  readonly #caseless: boolean;

  /**
   * @param alphabet sets that hold all of it become a dot
   * @param caseless the compiler is told to compare without case
   */
  constructor(alphabet: ByteSet, caseless: boolean) {
    this.#alphabet = alphabet;
    this.#caseless = caseless;
  }

  /** @returns null when the tree has look-arounds */
  print(node: Node): string | null {
    switch (node.kind) {
      case 'set':
        return this.#alphabet.isSubsetOf(node.set) ? '.' : node.set.print(this.#caseless);
      case 'sequence':
        return join(node.parts.map((part) => (part.kind === 'alternatives' ? this.#grouped(part) : this.print(part))), '');
      case 'alternatives': {
        // an empty branch makes the others optional
        const branches = node.branches.filter((branch) => branch !== EMPTY);
        const text = join(branches.map((branch) => this.print(branch)), '|');
        return text === null || branches.length === node.branches.length ? text : `(?:${text})?`;
      }
      case 'repeat': {
        const part = node.part.kind === 'set' ? this.print(node.part) : this.#grouped(node.part);
        return part === null ? null : part + quantifier(node.min, node.max);
      }
      case 'assertion':
        return node.text;
      default:
        return null;
    }
  }

  #grouped(node: Node): string | null {
    const text = this.print(node);
    return text === null ? null : `(?:${text})`;
  }
}

function join(texts: readonly (string | null)[], separator: string): string | null {
  return texts.includes(null) ? null : texts.join(separator);
}

function quantifier(min: number, max: number): string {
  if (max === Infinity) return min === 0 ? '*' : min === 1 ? '+' : `{${min},}`;
  return min === 0 && max === 1 ? '?' : `{${min},${max}}`;
}
