/** The files of a VM as its driver shows them. Content travels only where its hash is not known already. */
import type { DriverSession } from '../handler.js';
import { describeIdentity } from '../protocol/identity.js';
import { kindOf, type FileTree, type TreeEntry, type TreeFile } from './tree.js';

export class DriverTree implements FileTree {
  readonly #session: DriverSession | null;
  readonly #hashUpTo: number;

  /**
   * @param session null = the driver is not connected: everything fails, and `lost` says why
   * @param hashUpTo the driver hashes files up to this size as it lists them; 0 = none
   */
  constructor(session: DriverSession | null, hashUpTo: number) {
    this.#session = session;
    this.#hashUpTo = hashUpTo;
  }

  get lost(): boolean {
    return this.#session?.open !== true;
  }

  async list(path: string): Promise<TreeEntry[]> {
    const entries: TreeEntry[] = [];
    for await (const batch of this.#connected().list(path, this.#hashUpTo)) {
      for (const { meta, sha256, name, target } of batch) {
        entries.push({ name, kind: kindOf(meta.mode), meta, size: Number(describeIdentity(meta.identity).size), target, claim: Buffer.from(sha256).toString('hex') });
      }
    }
    return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  async open(path: string): Promise<TreeFile> {
    return this.#connected().openFile(path);
  }

  async close(): Promise<void> {
    // The session belongs to the server.
  }

  #connected(): DriverSession {
    if (this.#session?.open !== true) throw Object.assign(new Error('the driver is not connected'), { code: 'ENOTCONN' });
    return this.#session;
  }
}
