/** The buffers every protocol that carries files offers: their content, name and kind. */
import type { Flow } from '../flow/index.js';
import type { ByteSink } from '../util/index.js';
import { Body } from './body.js';
import { Directions } from './message.js';
import { AppFile, fileOf, type BufferSpec, type ByteSlice, type Transaction } from './transaction.js';

/**
 * file.data, file.name and file.magic of a transaction's files.
 * @param minProgress progress of a direction from which on there can be files
 */
export function fileBuffers(directions: number, minProgress: number): readonly BufferSpec<Transaction>[] {
  const where = { toServer: (directions & Directions.TO_SERVER) !== 0, toClient: (directions & Directions.TO_CLIENT) !== 0, minProgress };
  return [
    { name: 'file.data', ...where, streaming: true, get: (tx, dir, index, out) => fileOf(tx, dir, index)?.content.slice(out) ?? false },
    {
      name: 'file.name',
      ...where,
      get(tx: Transaction, dir: number, index: number, out: ByteSlice): boolean {
        const file = fileOf(tx, dir, index);
        return file !== null && file.name.length > 0 && out.set(file.name, 0, file.name.length);
      },
    },
    {
      name: 'file.magic',
      ...where,
      get(tx: Transaction, dir: number, index: number, out: ByteSlice): boolean {
        const magic = fileOf(tx, dir, index)?.magic() ?? null;
        return magic !== null && out.set(magic, 0, magic.length);
      },
    },
  ];
}

/** Follows the files that flows carry, beyond what detection keeps of them. */
export interface FileObserver {
  /**
   * A file began. @returns what takes its bytes, from the first one on; null = not this one
   */
  begin(flow: Flow, file: AppFile): ByteSink | null;
  /** Nothing more of the file will come; `file.content.complete` tells whether it ended by itself. Not for those that `begin` refused. */
  end(flow: Flow, file: AppFile): void;
}

/** Two takers of the same bytes; goes on while either wants more. */
class Tee implements ByteSink {
  #first: ByteSink | null;
  #second: ByteSink | null;

  constructor(first: ByteSink, second: ByteSink) {
    this.#first = first;
    this.#second = second;
  }

  write(buf: Uint8Array, off: number, len: number): boolean {
    if (this.#first !== null && !this.#first.write(buf, off, len)) this.#first = null;
    if (this.#second !== null && !this.#second.write(buf, off, len)) this.#second = null;
    return this.#first !== null || this.#second !== null;
  }
}

/** Show new files of a transaction to the observer. What was read of them before is still kept, or they are left out. */
export function followFiles(observer: FileObserver, flow: Flow, tx: Transaction): void {
  for (const file of tx.files!) {
    if (file.followed !== 0) continue;
    file.followed = 2;
    const { content } = file;
    if (!(content instanceof Body) || content.total !== content.len) continue;
    const sink = observer.begin(flow, file);
    if (sink === null) continue;
    file.followed = 1;
    if (content.len > 0 && !sink.write(content.buf, 0, content.len)) continue;
    content.tap = content.tap === null ? sink : new Tee(content.tap, sink);
  }
}

/** The transaction is over, and its files with it. */
export function endFiles(observer: FileObserver, flow: Flow, tx: Transaction): void {
  for (const file of tx.files!) {
    if (file.followed !== 1) continue;
    file.followed = 2;
    observer.end(flow, file);
  }
}
