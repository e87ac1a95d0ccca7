/** Names of variables that rules write. */
import { PERSISTENT_COLLECTIONS, type PersistentName } from '../engine/persistent-store.js';

export type WritableCollection = 'tx' | PersistentName;

/** `tx.name` or `tx:name`, split. @throws Error when the collection cannot be written */
export function writableCollection(text: string): { readonly collection: WritableCollection; readonly name: string } {
  const match = /^([A-Za-z]+)[.:](.+)$/s.exec(text);
  const collection = match?.[1]!.toLowerCase();
  if (match === null || collection === undefined || (collection !== 'tx' && !isPersistent(collection))) {
    throw new Error(`'${text}' is no writable variable; write collection.name with one of tx, ${PERSISTENT_COLLECTIONS.join(', ')}`);
  }
  return { collection, name: match[2]! };
}

export function isPersistent(name: string): name is PersistentName {
  return (PERSISTENT_COLLECTIONS as readonly string[]).includes(name);
}
