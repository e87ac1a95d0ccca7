/** Texts with %{VARIABLE.name} in them, compiled once and expanded per transaction. */
import type { TransactionState } from './engine/state.js';
import { lowerAscii, type ByteString } from './value.js';
import { findVariable } from './variables/registry.js';
import type { Variable } from './variables/variable.js';

interface Reference {
  readonly variable: Variable;
  /** Lower case; '' = the variable itself. */
  readonly name: ByteString;
}

const MACRO = /%\{([A-Za-z_0-9]+)(?:[.:]([^}]*))?\}/g;

export class Macro {
  readonly text: ByteString;
  readonly #parts: readonly (ByteString | Reference)[];

  /** Names that are no variables stay in the text as they are. */
  constructor(text: ByteString) {
    this.text = text;
    const parts: (ByteString | Reference)[] = [];
    let from = 0;
    for (const match of text.matchAll(MACRO)) {
      const variable = findVariable(match[1]!);
      if (variable === undefined) continue;
      if (match.index > from) parts.push(text.slice(from, match.index));
      parts.push({ variable, name: lowerAscii(match[2] ?? '') });
      from = match.index + match[0].length;
    }
    if (from < text.length || parts.length === 0) parts.push(text.slice(from));
    this.#parts = parts;
  }

  /** No macro in it: the text is what it expands to. */
  get constant(): boolean {
    return this.#parts.length === 1 && typeof this.#parts[0] === 'string';
  }

  /** What is absent expands to nothing. */
  expand(state: TransactionState): ByteString {
    const parts = this.#parts;
    if (parts.length === 1) return typeof parts[0] === 'string' ? parts[0] : resolve(state, parts[0]!);
    let out = '';
    for (const part of parts) out += typeof part === 'string' ? part : resolve(state, part);
    return out;
  }
}

function resolve(state: TransactionState, reference: Reference): ByteString {
  const { variable, name } = reference;
  if (name !== '' && variable.lookup !== null) return variable.lookup(state, name) ?? '';
  if (name !== '' && variable.expression !== null) return variable.expression.select(state, name).values[0] ?? '';
  const list = state.list(variable);
  if (name === '') return list.values[0] ?? '';
  return list.first(name) ?? '';
}
