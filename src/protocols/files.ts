/** The buffers every protocol that carries files offers: their content, name and kind. */
import { Directions } from './message.js';
import { fileOf, type BufferSpec, type ByteSlice, type Transaction } from './transaction.js';

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
