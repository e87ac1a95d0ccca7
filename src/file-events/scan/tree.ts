/** A tree of files to be scanned: inside a VM (driver), or a directory of this host (container, mounted disk). */
import type { ContentReader } from '../handler.js';
import type { FileMeta } from '../protocol/messages.js';

export interface TreeEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'symlink' | 'other';
  readonly meta: FileMeta;
  readonly size: number;
  /** Target of a symbolic link, '' otherwise. */
  readonly target: string;
  /** SHA-256 that a driver claims, lower-case hex; '' = not told. */
  readonly claim: string;
}

export interface TreeFile extends ContentReader {
  readonly meta: FileMeta;
  close(): Promise<void>;
}

export interface FileTree {
  /** The way to the files is gone for now (driver disconnected): what failed since says nothing about the files. */
  readonly lost: boolean;
  /** One directory, sorted by name. @throws an Error with `code` (ENOENT, EACCES, ...) */
  list(path: string): Promise<TreeEntry[]>;
  /** @throws as list */
  open(path: string): Promise<TreeFile>;
  close(): Promise<void>;
}

/** S_IFMT and its values (stat(2)). */
export function kindOf(mode: number): TreeEntry['kind'] {
  switch (mode & 0o170000) {
    case 0o100000:
      return 'file';
    case 0o040000:
      return 'directory';
    case 0o120000:
      return 'symlink';
    default:
      return 'other';
  }
}

export interface Walked {
  readonly path: string;
  readonly entry: TreeEntry;
}

export interface WalkOptions {
  readonly paths: readonly string[];
  /** Paths left out, with everything below them. */
  readonly exclude: readonly string[];
  /** Go on behind this path, '' = from the start. */
  readonly after: string;
  /** Told of directories that could not be listed. */
  readonly unreadable: (path: string, error: unknown) => void;
  /** Also directories, links and the rest; otherwise only regular files. */
  readonly everything?: boolean;
}

/** Deep directories are an attack, not a habit: beyond this they are reported as unreadable. */
const MAX_DEPTH = 512;

/** Depth first, by name, so that a path tells how far a walk has come. Symbolic links are not followed. */
export async function* walk(tree: FileTree, options: WalkOptions): AsyncGenerator<Walked> {
  const excluded = new Set(options.exclude.map(trimmed));
  for (const root of options.paths.map(trimmed).toSorted(comparePaths)) {
    if (excluded.has(root)) continue;
    yield* descend(tree, root, options, excluded, 0);
  }
}

async function* descend(tree: FileTree, directory: string, o: WalkOptions, excluded: ReadonlySet<string>, depth: number): AsyncGenerator<Walked> {
  let entries: TreeEntry[];
  try {
    if (depth > MAX_DEPTH) throw new Error(`deeper than ${MAX_DEPTH} directories`);
    entries = await tree.list(directory === '' ? '/' : directory);
  } catch (error) {
    // A path of the job may be a file.
    const file = depth === 0 ? await single(tree, directory) : null;
    if (file !== null) yield file;
    else o.unreadable(directory === '' ? '/' : directory, error);
    return;
  }
  for (const entry of entries) {
    const path = `${directory}/${entry.name}`;
    if (excluded.has(path)) continue;
    const passed = o.after !== '' && comparePaths(path, o.after) <= 0;
    if (entry.kind === 'directory') {
      if (passed && !o.after.startsWith(`${path}/`) && path !== o.after) continue;
      if (o.everything === true && !passed) yield { path, entry };
      yield* descend(tree, path, o, excluded, depth + 1);
    } else if (!passed && (entry.kind === 'file' || o.everything === true)) yield { path, entry };
  }
}

async function single(tree: FileTree, path: string): Promise<Walked | null> {
  try {
    const file = await tree.open(path);
    await file.close();
    return { path, entry: { name: path.slice(path.lastIndexOf('/') + 1), kind: kindOf(file.meta.mode), meta: file.meta, size: file.size, target: '', claim: '' } };
  } catch {
    return null;
  }
}

function trimmed(path: string): string {
  return path.replace(/\/+$/, '');
}

/** Order of a walk: component by component, so that everything below a directory stays together. */
export function comparePaths(a: string, b: string): number {
  const [x, y] = [a.split('/'), b.split('/')];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    if (x[i] !== y[i]) return x[i]! < y[i]! ? -1 : 1;
  }
  return x.length - y.length;
}
