/**
 * Which bytes must a value hold for a regular expression to match it? Of every part that has to take part in a match the bytes
 * it can consist of; the part whose bytes are rarest in ordinary text is chosen. `["'][\s]*or` gives the two quotes: no quote, no
 * match, whatever else the value is.
 */
import { ByteSet } from './byte-set.js';
import type { Node } from './regex-tree.js';

/** @returns a set of which every match holds at least one byte, null when there is none */
export function neededBytes(node: Node): ByteSet | null {
  switch (node.kind) {
    case 'set':
      return node.set;
    case 'sequence': {
      let need: ByteSet | null = null;
      for (const part of node.parts) {
        const own = neededBytes(part);
        if (own !== null && (need === null || own.weight < need.weight)) need = own;
      }
      return need;
    }
    case 'alternatives': {
      let need: ByteSet = ByteSet.NONE;
      for (const branch of node.branches) {
        const own = neededBytes(branch);
        if (own === null) return null;
        need = need.union(own);
      }
      return need;
    }
    case 'repeat':
      return node.min > 0 ? neededBytes(node.part) : null;
    default:
      return null;
  }
}
