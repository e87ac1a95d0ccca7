/**
 * Engines by the name users write in `files.engines[].type`. A new engine is one file in this folder and one row here: its
 * options' JSON Schema (which is also its documentation) and how to make it. Sizes have been resolved to bytes, paths to
 * absolute ones, by the key lists of the row.
 */
import { ClamdEngine, type ClamdOptions } from './clamd.js';
import type { Engine } from './engine.js';
import { HashListEngine, type HashListOptions } from './hash-list.js';
import { YaraXEngine, type YaraXOptions } from './yara-x.js';

interface Property {
  readonly default?: unknown;
  readonly [keyword: string]: unknown;
}

export interface EngineRow {
  readonly help: string;
  readonly properties: Readonly<Record<string, Property>>;
  readonly required: readonly string[];
  /** Options that are files or directories, relative to the configuration file. */
  readonly paths: readonly string[];
  /** @param options have passed the schema, defaults filled in */
  create(options: never, sleep: (ms: number) => Promise<void>): Engine;
}

const files = (description: string): Property => ({ type: 'array', items: { type: 'string', minLength: 1 }, default: [], description });

export const ENGINES: Readonly<Record<string, EngineRow>> = {
  'hash-list': {
    help: 'Lists of SHA-256. Asked first; what is allowed no other engine looks at.',
    properties: {
      deny: files('Files of known bad hashes: one SHA-256 in hex a line, then optionally a name; `#` starts a comment.'),
      allow: files('Files of known good hashes. A hash on both lists is bad.'),
    },
    required: [],
    paths: ['deny', 'allow'],
    create: (options: HashListOptions) => new HashListEngine(options),
  },
  'yara-x': {
    help: 'YARA rules, in WebAssembly inside this process. Does not look into archives.',
    properties: {
      rules: { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1, description: 'Rule files; a directory means all its *.yar and *.yara files.' },
      max_file_size: { type: 'integer', minimum: 1024, maximum: 1_073_741_824, default: 67_108_864, description: 'Bytes; larger files count as not fully scanned.' },
      timeout_seconds: { type: 'integer', minimum: 1, maximum: 600, default: 20, description: 'Time limit of one scan.' },
      threads: { type: 'integer', minimum: 1, maximum: 16, default: 1, description: 'Worker threads; each holds the rules and up to four times the largest file.' },
    },
    required: ['rules'],
    paths: ['rules'],
    create: (options: YaraXOptions) => new YaraXEngine(options),
  },
  clamd: {
    help: "Debian's clamav-daemon. Its clamd.conf needs `AlertExceedsMax yes` and `AlertEncrypted yes`: without them it calls files clean that it did not scan, so the appliance refuses it.",
    properties: {
      socket: { type: 'string', minLength: 1, default: '/run/clamav/clamd.ctl', description: 'LocalSocket of clamd.conf.' },
      database: { type: 'string', default: '/var/lib/clamav', description: 'DatabaseDirectory of clamd.conf, watched for new signatures; empty = only the version clamd tells is.' },
      reload_seconds: { type: 'integer', minimum: 0, maximum: 600, default: 60, description: 'How long it takes to load new signatures. Until then verdicts count for the old ones.' },
    },
    required: [],
    paths: ['socket', 'database'],
    create: (options: ClamdOptions, sleep) => new ClamdEngine(options, sleep),
  },
};

/** Order in which engines are asked: what costs least first. */
const ORDER = ['hash-list', 'yara-x', 'clamd'];

export interface EngineConfig {
  readonly type: string;
  readonly [option: string]: unknown;
}

/**
 * @param resolve makes a path of the configuration absolute
 * @param sleep waits that many ms
 */
export function createEngines(configs: readonly EngineConfig[], resolve: (path: string) => string, sleep: (ms: number) => Promise<void>): Engine[] {
  return configs
    .toSorted((a, b) => ORDER.indexOf(a.type) - ORDER.indexOf(b.type))
    .map(({ type, ...given }) => {
      const row = ENGINES[type]!;
      const options: Record<string, unknown> = Object.fromEntries(Object.entries(row.properties).map(([key, property]) => [key, given[key] ?? property.default]));
      for (const key of row.paths) {
        const value = options[key];
        options[key] = Array.isArray(value) ? value.map((p: string) => resolve(p)) : typeof value === 'string' && value !== '' ? resolve(value) : value;
      }
      return row.create(options as never, sleep);
    });
}
