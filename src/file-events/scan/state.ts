/** State that survives a restart, in one SQLite file (`state.db`): scans and how far they came, integrity baselines. Opened by one process at a time. */
import type BetterSqlite3 from 'better-sqlite3';
import { createRequire } from 'node:module';

export type Database = BetterSqlite3.Database;

/** One entry a version: what brings a database from the version before to this one. */
const MIGRATIONS: readonly string[] = [
  `
CREATE TABLE scans (
  id INTEGER PRIMARY KEY,
  trigger TEXT NOT NULL,
  name TEXT NOT NULL,
  vm TEXT NOT NULL,
  paths TEXT NOT NULL,
  exclude TEXT NOT NULL,
  state TEXT NOT NULL,
  cursor TEXT NOT NULL DEFAULT '',
  files_total INTEGER NOT NULL DEFAULT -1,
  bytes_total INTEGER NOT NULL DEFAULT -1,
  files INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  clean INTEGER NOT NULL DEFAULT 0,
  malicious INTEGER NOT NULL DEFAULT 0,
  not_fully_scanned INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  unreadable INTEGER NOT NULL DEFAULT 0,
  active_ms INTEGER NOT NULL DEFAULT 0,
  created TEXT NOT NULL,
  ended TEXT NOT NULL DEFAULT '',
  error TEXT NOT NULL DEFAULT ''
);`,
  `
CREATE TABLE entities (
  id INTEGER PRIMARY KEY,
  vm TEXT NOT NULL,
  path TEXT NOT NULL,
  kind TEXT NOT NULL,
  mode INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  gid INTEGER NOT NULL,
  size INTEGER NOT NULL,
  mtime TEXT NOT NULL,
  inode TEXT NOT NULL,
  sha256 BLOB NOT NULL,
  target TEXT NOT NULL,
  text BLOB,
  seen INTEGER NOT NULL,
  UNIQUE (vm, path)
);
CREATE TABLE baselines (
  vm TEXT PRIMARY KEY,
  rules TEXT NOT NULL,
  pass INTEGER NOT NULL,
  entities INTEGER NOT NULL,
  made TEXT NOT NULL,
  checked TEXT NOT NULL DEFAULT '',
  seconds REAL NOT NULL
);`,
];

/**
 * Open or create the database.
 * @throws Error when better-sqlite3 was not built, or the file belongs to a newer version
 */
export function openState(file: string): Database {
  let Sqlite: typeof BetterSqlite3;
  try {
    Sqlite = createRequire(import.meta.url)('better-sqlite3') as typeof BetterSqlite3;
  } catch (error) {
    throw new Error(`SQLite is not built (run: node scripts/build-optional.mjs): ${error instanceof Error ? error.message.split('\n', 1)[0] : String(error)}`);
  }
  let db: Database;
  try {
    db = new Sqlite(file);
  } catch (error) {
    // The package loads its addon on first use.
    if (error instanceof Error && /bindings|\.node/.test(error.message)) throw new Error('SQLite is not built (run: node scripts/build-optional.mjs)');
    throw error;
  }
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = NORMAL');
  const version = db.pragma('user_version', { simple: true }) as number;
  if (version > MIGRATIONS.length) {
    db.close();
    throw new Error(`${file} is of a newer version of the appliance (${version}, this one knows ${MIGRATIONS.length})`);
  }
  for (let next = version; next < MIGRATIONS.length; next++) {
    db.exec(`BEGIN; ${MIGRATIONS[next]}; PRAGMA user_version = ${next + 1}; COMMIT`);
  }
  return db;
}
