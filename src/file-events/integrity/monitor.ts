/**
 * Integrity monitoring: baselines, checks against them, and changes as they happen. Works on any tree (driver, root directory),
 * streams entry by entry into SQLite and holds nothing of the baseline in memory, so the number of files has no ceiling.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import { reasonOf } from '../engines/engine.js';
import { describeIdentity } from '../protocol/identity.js';
import type { ProcessInfo } from '../protocol/messages.js';
import type { Database } from '../scan/state.js';
import { kindOf, walk, type FileTree, type TreeEntry, type TreeFile } from '../scan/tree.js';
import { Baseline, type Entity, type Known } from './baseline.js';
import { IntegrityRule, walkRoots, type Attribute, type IntegrityRuleConfig } from './rule.js';
import { isText, textDiff } from './text-diff.js';

export interface IntegrityChange {
  readonly vm: string;
  readonly rule: IntegrityRuleConfig;
  readonly change: 'created' | 'updated' | 'deleted' | 'renamed';
  readonly path: string;
  /** Where it was before, for renamed ones. */
  readonly from: string;
  readonly attributes: readonly Attribute[];
  readonly before: Entity | null;
  readonly after: Entity | null;
  /** Unified hunks; '' = none shown. */
  readonly diff: string;
  /** Who did it, where the event tells; null for what a check found. */
  readonly process: ProcessInfo | null;
}

export interface BaselineInfo {
  readonly vm: string;
  readonly entities: number;
  readonly made: string;
  readonly checked: string;
  readonly seconds: number;
  /** The rules it was made under are not those in force. */
  readonly outdated: boolean;
}

export interface CheckResult {
  readonly entities: number;
  readonly changes: number;
  /** Files and directories that could not be read. */
  readonly unreadable: number;
  readonly seconds: number;
}

export interface MonitorParts {
  readonly db: Database;
  readonly rules: readonly IntegrityRuleConfig[];
  /** @throws Error when the VM has neither driver nor root now */
  readonly tree: (vm: string) => FileTree;
  readonly report: (change: IntegrityChange) => void;
  readonly log: (text: string) => void;
  readonly now: () => number;
  readonly wall: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

/** Text up to here is kept for diffs. */
const MAX_TEXT = 64 * 1024;
/** Rows written in one transaction. */
const ROWS = 2000;
/** How long this thread is kept before others get a turn. */
const TURN_MS = 8;
/** Created entities remembered to recognise renamed ones. */
const MAX_CREATED = 10_000;
/** A file that changes again and again is looked at this often. */
const SETTLE_MS = 100;
/** Changes waiting to be looked at; beyond it the VM is checked as a whole. */
const MAX_PENDING = 10_000;

type Seen = (rule: IntegrityRule, entity: Entity, text: string | null) => void;

export class IntegrityMonitor {
  /** What was seen and found. */
  readonly counts = { entities: 0, created: 0, updated: 0, deleted: 0, renamed: 0, unreadable: 0, baselines: 0, checks: 0, watched: 0 };
  readonly #p: MonitorParts;
  readonly #rules: readonly IntegrityRule[];
  readonly #baseline: Baseline;
  /** One walk of a VM at a time. */
  readonly #busy = new Map<string, Promise<unknown>>();
  readonly #pending = new Map<string, Map<string, ProcessInfo>>();
  #closed = false;

  /** @throws Error that names a rule and its wrong pattern */
  constructor(parts: MonitorParts) {
    this.#p = parts;
    this.#rules = parts.rules.map((config) => {
      try {
        return new IntegrityRule(config);
      } catch (error) {
        throw new Error(`integrity rule ${config.name}: ${reasonOf(error)}`, { cause: error });
      }
    });
    this.#baseline = new Baseline(parts.db);
  }

  list(): BaselineInfo[] {
    const rows = this.#p.db.prepare('SELECT * FROM baselines ORDER BY vm').all() as { vm: string; rules: string; entities: number; made: string; checked: string; seconds: number }[];
    return rows.map(({ vm, rules, entities, made, checked, seconds }) => ({ vm, entities, made, checked, seconds, outdated: rules !== this.#rulesOf(vm) }));
  }

  /** Take the state of a VM's files now as the one to compare with. @throws Error when its files cannot be reached */
  baseline(vm: string): Promise<CheckResult> {
    return this.#alone(vm, async () => {
      const started = this.#p.now();
      const pass = this.#nextPass(vm);
      this.#baseline.forget(vm);
      const { entities, unreadable } = await this.#walk(vm, (_rule, entity, text) => this.#baseline.put(vm, entity, text, pass));
      const seconds = (this.#p.now() - started) / 1000;
      this.#p.db
        .prepare("INSERT INTO baselines (vm, rules, pass, entities, made, checked, seconds) VALUES (?, ?, ?, ?, ?, '', ?) ON CONFLICT (vm) DO UPDATE SET rules = excluded.rules, pass = excluded.pass, entities = excluded.entities, made = excluded.made, seconds = excluded.seconds")
        .run(vm, this.#rulesOf(vm), pass, entities, this.#iso(), seconds);
      this.counts.baselines++;
      return { entities, changes: 0, unreadable, seconds };
    });
  }

  /**
   * Compare with the baseline, report each difference once, and take what is there now as the baseline.
   * @throws Error when there is no baseline yet, or the files cannot be reached
   */
  check(vm: string): Promise<CheckResult> {
    return this.#alone(vm, () => this.#check(vm));
  }

  async #check(vm: string): Promise<CheckResult> {
    if (!this.#has(vm)) throw new Error(`there is no baseline of ${vm} yet`);
    const started = this.#p.now();
    const pass = this.#nextPass(vm);
    const created: { rule: IntegrityRule; entity: Entity; text: string | null }[] = [];
    let changes = 0;
    const result = await this.#walk(vm, (rule, entity, text) => {
      const before = this.#baseline.get(vm, entity.path);
      if (before === undefined) {
        this.#baseline.put(vm, entity, text, pass);
        if (created.length < MAX_CREATED) created.push({ rule, entity, text });
        else changes += this.#report(vm, rule, 'created', null, entity, null);
        return;
      }
      if (this.#compare(vm, rule, before, entity, text, null)) changes++;
      if (same(before, entity)) this.#baseline.saw(before.id, pass);
      else this.#baseline.put(vm, entity, text, pass);
    });
    changes += this.#gone(vm, pass, created);
    const seconds = (this.#p.now() - started) / 1000;
    this.#p.db.prepare('UPDATE baselines SET rules = ?, entities = ?, checked = ?, seconds = ? WHERE vm = ?').run(this.#rulesOf(vm), result.entities, this.#iso(), seconds, vm);
    this.counts.checks++;
    return { ...result, changes, seconds };
  }

  /** What the walk did not meet was deleted, or renamed to something that is new. */
  #gone(vm: string, pass: number, created: readonly { rule: IntegrityRule; entity: Entity; text: string | null }[]): number {
    let changes = 0;
    const fresh = new Map(created.map((c) => [`${c.entity.inode}:${c.entity.sha256}:${c.entity.kind}`, c]));
    for (let missing = this.#baseline.missing(vm, pass); missing.length > 0; missing = this.#baseline.missing(vm, pass)) {
      this.#baseline.begin();
      for (const before of missing) {
        this.#baseline.remove(vm, before.path);
        const rule = this.#ruleFor(vm, before.path);
        if (rule === undefined) continue;
        const key = `${before.inode}:${before.sha256}:${before.kind}`;
        const moved = fresh.get(key);
        if (moved === undefined) changes += this.#report(vm, rule, 'deleted', before, null, null);
        else {
          fresh.delete(key);
          changes += this.#report(vm, moved.rule, 'renamed', before, moved.entity, null);
        }
      }
      this.#baseline.commit();
    }
    for (const { rule, entity } of fresh.values()) changes += this.#report(vm, rule, 'created', null, entity, null);
    return changes;
  }

  /** A file was written, created, removed or its attributes changed: look at it soon. @param path '' = changes were lost, look at everything */
  changed(vm: string, path: string, process: ProcessInfo): void {
    if (this.#closed || !this.#has(vm)) return;
    if (path !== '' && this.#ruleFor(vm, path)?.config.on_change !== true) return;
    this.counts.watched++;
    let pending = this.#pending.get(vm);
    if (pending === undefined) {
      pending = new Map();
      this.#pending.set(vm, pending);
      void this.#soon(vm);
    }
    // Too many to look at one by one: the empty path stands for all.
    if (pending.size >= MAX_PENDING || path === '') pending.set('', process);
    else pending.set(path, process);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#busy.values());
  }

  async #soon(vm: string): Promise<void> {
    await this.#p.sleep(SETTLE_MS);
    const pending = this.#pending.get(vm)!;
    this.#pending.delete(vm);
    try {
      await this.#alone(vm, async () => {
        if (pending.has('')) await this.#check(vm);
        else await this.#examine(vm, pending);
      });
    } catch (error) {
      this.#p.log(`integrity of ${vm}: ${reasonOf(error)}`);
    }
  }

  async #examine(vm: string, paths: ReadonlyMap<string, ProcessInfo>): Promise<void> {
    const tree = this.#p.tree(vm);
    const { pass } = this.#p.db.prepare('SELECT pass FROM baselines WHERE vm = ?').get(vm) as { pass: number };
    try {
      for (const [path, process] of paths) {
        const rule = this.#ruleFor(vm, path);
        if (rule === undefined || this.#closed) continue;
        const entry = await entryOf(tree, path);
        if (tree.lost) return;
        const before = this.#baseline.get(vm, path);
        if (entry === null) {
          if (before === undefined) continue;
          this.#baseline.remove(vm, path);
          this.#report(vm, rule, 'deleted', before, null, process);
          continue;
        }
        const { entity, text } = await this.#read(tree, rule, path, entry);
        if (before === undefined) this.#report(vm, rule, 'created', null, entity, process);
        else this.#compare(vm, rule, before, entity, text, process);
        this.#baseline.put(vm, entity, text, pass);
      }
    } finally {
      await tree.close();
    }
  }

  async #walk(vm: string, seen: Seen): Promise<{ entities: number; unreadable: number }> {
    const rules = this.#rules.filter((r) => r.appliesTo(vm));
    const tree = this.#p.tree(vm);
    let entities = 0;
    let unreadable = 0;
    let turn = this.#p.now();
    const give = async (): Promise<void> => {
      this.#baseline.commit();
      await breathe();
      turn = this.#p.now();
      this.#baseline.begin();
    };
    this.#baseline.begin();
    try {
      for await (const { path, entry } of walk(tree, { paths: walkRoots(rules), exclude: [], after: '', everything: true, unreadable: () => unreadable++ })) {
        if (this.#closed) throw new Error('the appliance stops');
        const rule = rules.find((r) => r.matches(path));
        if (rule !== undefined) {
          const { entity, text, failed } = await this.#read(tree, rule, path, entry);
          if (tree.lost) throw new Error('the driver went away');
          if (failed) unreadable++;
          seen(rule, entity, text);
          entities++;
          this.counts.entities++;
        }
        if (entities % ROWS === ROWS - 1 || this.#p.now() - turn > TURN_MS) await give();
      }
      if (tree.lost) throw new Error('the driver is not connected');
    } finally {
      this.#baseline.commit();
      await tree.close();
    }
    this.counts.unreadable += unreadable;
    return { entities, unreadable };
  }

  async #read(tree: FileTree, rule: IntegrityRule, path: string, entry: TreeEntry): Promise<{ entity: Entity; text: string | null; failed: boolean }> {
    const { meta, kind } = entry;
    const id = describeIdentity(meta.identity);
    const base = { path, kind, mode: meta.mode, uid: meta.uid, gid: meta.gid, size: kind === 'file' ? entry.size : 0, mtime: String(id.mtimeNs), inode: String(id.inode), target: entry.target };
    const wantsText = kind === 'file' && entry.size <= MAX_TEXT && rule.shows(path);
    if (kind !== 'file' || !rule.attributes.has('contents')) return { entity: { ...base, sha256: '' }, text: null, failed: false };
    if (entry.claim !== '' && !wantsText) return { entity: { ...base, sha256: entry.claim }, text: null, failed: false };
    let file: TreeFile;
    try {
      file = await tree.open(path);
    } catch {
      return { entity: { ...base, sha256: entry.claim }, text: null, failed: true };
    }
    try {
      const sha256 = Buffer.from((await file.sha256()).sha256).toString('hex');
      return { entity: { ...base, sha256 }, text: wantsText ? await textOf(file) : null, failed: false };
    } catch {
      return { entity: { ...base, sha256: entry.claim }, text: null, failed: true };
    } finally {
      await file.close();
    }
  }

  /** @returns true when something the rule cares about differs */
  #compare(vm: string, rule: IntegrityRule, before: Known, after: Entity, text: string | null, process: ProcessInfo | null): boolean {
    const attributes = differences(before, after).filter((a) => rule.attributes.has(a));
    if (attributes.length === 0) return false;
    const diff = attributes.includes('contents') && before.text !== null && text !== null ? (textDiff(before.text, text) ?? '') : '';
    this.counts.updated++;
    this.#p.report({ vm, rule: rule.config, change: 'updated', path: after.path, from: '', attributes, before: bare(before), after, diff, process });
    return true;
  }

  /** @returns 1 when it was told */
  #report(vm: string, rule: IntegrityRule, change: 'created' | 'deleted' | 'renamed', before: Entity | null, after: Entity | null, process: ProcessInfo | null): number {
    const wanted = change === 'renamed' ? rule.attributes.has('created') || rule.attributes.has('deleted') : rule.attributes.has(change);
    if (!wanted) return 0;
    this.counts[change]++;
    const attributes: Attribute[] = change === 'renamed' ? [] : [change];
    this.#p.report({ vm, rule: rule.config, change, path: (after ?? before)!.path, from: change === 'renamed' ? before!.path : '', attributes, before: before === null ? null : bare(before), after, diff: '', process });
    return 1;
  }

  #ruleFor(vm: string, path: string): IntegrityRule | undefined {
    return this.#rules.find((r) => r.appliesTo(vm) && r.matches(path));
  }

  #has(vm: string): boolean {
    return this.#p.db.prepare('SELECT 1 FROM baselines WHERE vm = ?').get(vm) !== undefined;
  }

  #nextPass(vm: string): number {
    const row = this.#p.db.prepare('SELECT pass FROM baselines WHERE vm = ?').get(vm) as { pass: number } | undefined;
    const pass = (row?.pass ?? 0) + 1;
    this.#p.db.prepare('UPDATE baselines SET pass = ? WHERE vm = ?').run(pass, vm);
    return pass;
  }

  #rulesOf(vm: string): string {
    return JSON.stringify(this.#rules.filter((r) => r.appliesTo(vm)).map(({ config: { include, exclude, attributes } }) => ({ include, exclude, attributes })));
  }

  async #alone<T>(vm: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#busy.get(vm) ?? Promise.resolve()).then(work, work);
    this.#busy.set(vm, turn);
    try {
      return await turn;
    } finally {
      if (this.#busy.get(vm) === turn) this.#busy.delete(vm);
    }
  }

  #iso(): string {
    return new Date(this.#p.wall()).toISOString();
  }
}

function same(before: Known, after: Entity): boolean {
  return differences(before, after).length === 0 && before.inode === after.inode;
}

/** Attributes that differ, as rules name them. */
function differences(a: Entity, b: Entity): Attribute[] {
  const found: Attribute[] = [];
  if (a.sha256 !== b.sha256 || a.kind !== b.kind) found.push('contents');
  if (a.size !== b.size) found.push('size');
  if (a.mode !== b.mode) found.push('permissions');
  if (a.uid !== b.uid) found.push('owner');
  if (a.gid !== b.gid) found.push('group');
  // The times of a directory change with every entry, which is told as that entry's own change.
  if (a.mtime !== b.mtime && b.kind !== 'directory') found.push('modified');
  if (a.target !== b.target) found.push('symlink');
  return found;
}

function bare({ path, kind, mode, uid, gid, size, mtime, inode, sha256, target }: Entity): Entity {
  return { path, kind, mode, uid, gid, size, mtime, inode, sha256, target };
}

/** One entry, whatever kind it has; null when there is none. */
async function entryOf(tree: FileTree, path: string): Promise<TreeEntry | null> {
  const name = path.slice(path.lastIndexOf('/') + 1);
  try {
    const file = await tree.open(path);
    await file.close();
    return { name, kind: kindOf(file.meta.mode), meta: file.meta, size: file.size, target: '', claim: '' };
  } catch {
    // No regular file, or not there: its directory tells.
  }
  try {
    const entries = await tree.list(path.slice(0, path.lastIndexOf('/')) || '/');
    return entries.find((e) => e.name === name) ?? null;
  } catch {
    return null;
  }
}

async function textOf(file: TreeFile): Promise<string | null> {
  const parts: Buffer[] = [];
  let at = 0;
  while (at < MAX_TEXT) {
    const part = await file.read(at, Math.min(MAX_TEXT - at, 65_536));
    if (part.length === 0) break;
    parts.push(Buffer.from(part));
    at += part.length;
  }
  const all = Buffer.concat(parts);
  return isText(all) ? all.toString('utf8') : null;
}
