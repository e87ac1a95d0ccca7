/**
 * YAML with positions: every value of the loaded document can be traced back to its line and column, so that a schema error
 * or an engine's complaint about `firewall.policies.web.rules[3].source` points at the text the operator wrote.
 */
import { LineCounter, parseDocument, isMap, isSeq, isScalar, isPair, type Document, type Node } from 'yaml';
import type { ConfigProblem } from './problem.js';

export type PathStep = string | number;

export class LocatedYaml {
  readonly file: string;
  readonly value: unknown;
  readonly syntaxProblems: readonly ConfigProblem[];
  readonly #doc: Document.Parsed;
  readonly #lines = new LineCounter();

  constructor(file: string, text: string) {
    this.file = file;
    this.#doc = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, uniqueKeys: true, version: '1.2' });
    this.syntaxProblems = [...this.#doc.errors, ...this.#doc.warnings].map((e) => {
      const { line, col } = this.#lines.linePos(e.pos[0]);
      return { file, line, column: col, path: '', message: e.message, severity: this.#doc.errors.includes(e as never) ? 'error' : 'warning' };
    });
    // maxAliasCount bounds what a small file can blow up to.
    this.value = this.#doc.errors.length === 0 ? this.#doc.toJS({ maxAliasCount: 100 }) : undefined;
  }

  /** Where the value at `path` stands; for a path that is not there, the nearest parent. Of a key when `atKey`. */
  locate(path: readonly PathStep[], atKey = false): { line: number; column: number } {
    let node: unknown = this.#doc.contents;
    let offset = offsetOf(node) ?? 0;
    for (let i = 0; i < path.length; i++) {
      const step = path[i]!;
      if (isMap(node)) {
        const pair = node.items.find((p) => isPair(p) && isScalar(p.key) && String(p.key.value) === String(step));
        if (!pair) break;
        const keyOffset = offsetOf(pair.key);
        node = pair.value;
        offset = (atKey && i === path.length - 1 ? keyOffset : (offsetOf(node) ?? keyOffset)) ?? offset;
      } else if (isSeq(node)) {
        node = node.items[Number(step)];
        if (node === undefined) break;
        offset = offsetOf(node) ?? offset;
      } else break;
    }
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  problem(path: readonly PathStep[], message: string, severity: 'error' | 'warning' = 'error', atKey = false): ConfigProblem {
    return { file: this.file, ...this.locate(path, atKey), path: pathText(path), message, severity };
  }
}

export function pathText(path: readonly PathStep[]): string {
  return path.map((s, i) => (typeof s === 'number' ? `[${s}]` : i === 0 ? s : `.${s}`)).join('');
}

function offsetOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}
