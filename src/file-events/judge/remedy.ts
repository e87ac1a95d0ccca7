/** Quarantine and removal of a malicious file, through its VM's driver. The file must still be what was judged. */
import { Readable } from 'node:stream';
import { reasonOf } from '../engines/engine.js';
import type { DriverSession, OpenedFile } from '../handler.js';
import { MAX_CHUNK } from '../protocol/limits.js';
import type { IdentityKey } from '../protocol/messages.js';
import { describeIdentity } from '../protocol/identity.js';
import { QuarantineError, type QuarantineEntry, type QuarantineStore } from '../quarantine/store.js';
import type { Action } from './finding.js';
import type { FilePolicy } from './policy.js';

export interface Culprit {
  readonly vm: string;
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
  readonly signature: string;
  readonly engine: string;
}

export interface Remedied {
  readonly action: Action;
  /** Quarantine id, '' = none. */
  readonly quarantine: string;
  /** Why it could not be done, '' = it was. */
  readonly error: string;
}

/**
 * Do what the policy says. What cannot be quarantined stays where it is and stays denied: a file is never removed
 * that could not be kept. Never rejects.
 * @param nowIso time for the quarantine record
 */
export async function remedy(session: DriverSession, culprit: Culprit, policy: FilePolicy, store: QuarantineStore, nowIso: string): Promise<Remedied> {
  const want = policy.on_malicious;
  if (want !== 'quarantine' && want !== 'delete') return { action: want === 'pass' ? 'none' : 'denied', quarantine: '', error: '' };
  try {
    const file = await session.openFile(culprit.path);
    let identity: IdentityKey;
    let kept: QuarantineEntry | null = null;
    try {
      identity = file.meta.identity;
      if (want === 'quarantine') {
        kept = await store.put({ ...culprit, size: file.size, mode: file.meta.mode, uid: file.meta.uid, gid: file.meta.gid, mtimeNs: String(describeIdentity(identity).mtimeNs), quarantined: nowIso }, chunksOfOpened(file));
      } else if (file.size !== culprit.size) throw new QuarantineError('changed', 'not the file any more that was judged');
      else await sameContent(file, culprit.sha256);
    } finally {
      await file.close();
    }
    try {
      await session.remove(culprit.path, identity);
    } catch (error) {
      if (kept !== null) store.remove(kept.id);
      throw error;
    }
    return { action: kept === null ? 'deleted' : 'quarantined', quarantine: kept?.id ?? '', error: '' };
  } catch (error) {
    return { action: 'denied', quarantine: '', error: reasonOf(error) };
  }
}

async function sameContent(file: OpenedFile, sha256: string): Promise<void> {
  const digest = await file.sha256();
  if (Buffer.from(digest.sha256).toString('hex') !== sha256) throw new QuarantineError('changed', 'not the file any more that was judged');
}

/** The content of an open file, in chunks that are the caller's. */
export async function* chunksOfOpened(file: OpenedFile): AsyncGenerator<Uint8Array> {
  for (let at = 0; ; ) {
    const chunk = await file.read(at, MAX_CHUNK);
    if (chunk.length === 0) return;
    at += chunk.length;
    yield chunk;
  }
}

/**
 * Put a kept file back through the driver, and out of the store once it is there. The whole content is verified first.
 * @throws QuarantineError, DriverError
 */
export async function restore(session: DriverSession, store: QuarantineStore, id: string): Promise<QuarantineEntry> {
  const entry = store.get(id);
  if (entry === undefined) throw new QuarantineError('not-found', id);
  await verified(store, id);
  await session.restore(entry.path, { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtimeNs: BigInt(entry.mtimeNs) }, store.content(id));
  store.remove(id);
  return entry;
}

/** Read a kept file to its end: it is unaltered when this returns. @throws QuarantineError */
export async function verified(store: QuarantineStore, id: string): Promise<void> {
  await Readable.from(store.content(id)).forEach(() => undefined);
}
