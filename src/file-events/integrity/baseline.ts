/** The baseline: what every watched file of every VM looked like, one row each in SQLite. Nothing of it is held in memory. */
import { deflateSync, inflateSync } from 'node:zlib';
import type { Database } from '../scan/state.js';
import type { TreeEntry } from '../scan/tree.js';

/** What is compared. */
export interface Entity {
  readonly path: string;
  readonly kind: TreeEntry['kind'];
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Decimal nanoseconds. */
  readonly mtime: string;
  readonly inode: string;
  /** Hex, '' for what has no content or could not be read. */
  readonly sha256: string;
  readonly target: string;
}

interface Row {
  readonly id: number;
  readonly path: string;
  readonly kind: TreeEntry['kind'];
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: string;
  readonly inode: string;
  readonly sha256: Buffer;
  readonly target: string;
  readonly text: Buffer | null;
}

export interface Known extends Entity {
  readonly id: number;
  /** Content, where it was small text that may be shown. */
  readonly text: string | null;
}

export class Baseline {
  readonly #db: Database;
  readonly #get;
  readonly #put;
  readonly #see;
  readonly #remove;
  readonly #unseen;

  constructor(db: Database) {
    this.#db = db;
    this.#get = db.prepare<[string, string], Row>('SELECT * FROM entities WHERE vm = ? AND path = ?');
    this.#put = db.prepare(
      'INSERT INTO entities (vm, path, kind, mode, uid, gid, size, mtime, inode, sha256, target, text, seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ' +
        'ON CONFLICT (vm, path) DO UPDATE SET kind = excluded.kind, mode = excluded.mode, uid = excluded.uid, gid = excluded.gid, size = excluded.size, mtime = excluded.mtime, inode = excluded.inode, sha256 = excluded.sha256, target = excluded.target, text = excluded.text, seen = excluded.seen',
    );
    this.#see = db.prepare('UPDATE entities SET seen = ? WHERE id = ?');
    this.#remove = db.prepare('DELETE FROM entities WHERE vm = ? AND path = ?');
    this.#unseen = db.prepare<[string, number], Row>('SELECT * FROM entities WHERE vm = ? AND seen <> ? LIMIT 1000');
  }

  count(vm: string): number {
    return (this.#db.prepare('SELECT count(*) AS n FROM entities WHERE vm = ?').get(vm) as { n: number }).n;
  }

  get(vm: string, path: string): Known | undefined {
    const row = this.#get.get(vm, path);
    return row === undefined ? undefined : known(row);
  }

  /** @param text kept for a diff later, null = not; @param pass number of the walk that saw it */
  put(vm: string, e: Entity, text: string | null, pass: number): void {
    this.#put.run(vm, e.path, e.kind, e.mode, e.uid, e.gid, e.size, e.mtime, e.inode, Buffer.from(e.sha256, 'hex'), e.target, text === null ? null : deflateSync(text), pass);
  }

  saw(id: number, pass: number): void {
    this.#see.run(pass, id);
  }

  remove(vm: string, path: string): void {
    this.#remove.run(vm, path);
  }

  /** Of what the walk `pass` did not come across, as much as is good to hold; remove it and ask again. */
  missing(vm: string, pass: number): Known[] {
    return this.#unseen.all(vm, pass).map(known);
  }

  forget(vm: string): void {
    this.#db.prepare('DELETE FROM entities WHERE vm = ?').run(vm);
  }

  /** Group writes: a transaction for each of thousands of rows would wait for the disk as often. */
  begin(): void {
    if (!this.#db.inTransaction) this.#db.exec('BEGIN');
  }

  commit(): void {
    if (this.#db.inTransaction) this.#db.exec('COMMIT');
  }
}

function known(row: Row): Known {
  return { ...row, sha256: row.sha256.toString('hex'), text: row.text === null ? null : inflateSync(row.text).toString('utf8') };
}
