/** The TX collection and its kin: named values that rules write. Names compare without case and keep their first spelling. */
import type { NamePattern } from '../name-pattern.js';
import { EntryList } from './entry-list.js';
import { lowerAscii, type ByteString } from '../value.js';

interface StoredValue {
  readonly name: ByteString;
  value: ByteString;
}

/** Names that rules can make from traffic (`setvar:tx.x_%{MATCHED_VAR_NAME}=1`) are bounded. */
const MAX_ENTRIES = 8192;

export class TxStore {
  readonly #entries = new Map<ByteString, StoredValue>();
  /** Assignments refused because the collection was full. */
  refused = 0;

  get(lowerName: ByteString): ByteString | undefined {
    return this.#entries.get(lowerName)?.value;
  }

  set(name: ByteString, value: ByteString): void {
    const key = lowerAscii(name);
    const known = this.#entries.get(key);
    if (known !== undefined) known.value = value;
    else if (this.#entries.size < MAX_ENTRIES) this.#entries.set(key, { name, value });
    else this.refused++;
  }

  delete(lowerName: ByteString): void {
    this.#entries.delete(lowerName);
  }

  /** Entries whose name the pattern matches. */
  matching(pattern: NamePattern): EntryList {
    const list = new EntryList();
    for (const [key, entry] of this.#entries) if (pattern.test(key)) list.add(entry.name, entry.value);
    return list;
  }

  entries(): IterableIterator<StoredValue> {
    return this.#entries.values();
  }
}

/** The number at the start of a text as C's atoi reads it; 0 when there is none. */
export function leadingInteger(text: ByteString): number {
  let i = 0;
  while (i < text.length && (text.charCodeAt(i) === 32 || (text.charCodeAt(i) >= 9 && text.charCodeAt(i) <= 13))) i++;
  let sign = 1;
  if (text[i] === '-' || text[i] === '+') {
    if (text[i] === '-') sign = -1;
    i++;
  }
  let value = 0;
  for (; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
    if (value > 0x7fffffff) return sign > 0 ? 0x7fffffff : -0x80000000;
  }
  return sign * value;
}
