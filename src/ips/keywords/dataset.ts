/** dataset and datarep: whole buffers looked up in sets of values. */
import { createHash } from 'node:crypto';
import type { RuleDraft } from '../draft.js';
import { keyword } from '../keyword.js';
import { DatasetCommand, DatasetStep } from '../match/step.js';
import { parseNumberTest, splitWord, type Arg, type OptionText } from '../option.js';
import { DATASET_TYPES, DEFAULT_HASH_SIZE, DEFAULT_MEMCAP, type Dataset, type DatasetType } from '../state/dataset.js';
import { fromHex } from '../../util/index.js';

const COMMANDS: Readonly<Record<string, number>> = { set: DatasetCommand.SET, unset: DatasetCommand.UNSET, isset: DatasetCommand.ISSET, isnotset: DatasetCommand.ISNOTSET };
const UNITS: Readonly<Record<string, number>> = { '': 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3 };
const SIZE_MAX = 2 ** 31 - 1;

interface Settings {
  type: DatasetType | '';
  load: Arg | null;
  save: Arg | null;
  /** The file may be missing. */
  optional: boolean;
  memcap: number;
  hashSize: number;
}

function readSettings(option: OptionText, args: readonly Arg[]): Settings {
  const out: Settings = { type: '', load: null, save: null, optional: false, memcap: DEFAULT_MEMCAP, hashSize: DEFAULT_HASH_SIZE };
  for (const arg of args) {
    const { word, rest } = splitWord(arg);
    switch (word) {
      case 'type':
        out.type = DATASET_TYPES.find((type) => type === rest.text) ?? option.fail(rest, 'unknown type', [...DATASET_TYPES]);
        break;
      case 'load':
        out.load = rest;
        break;
      case 'state':
        out.load = rest;
        out.optional = true;
        out.save = savedTo(option, rest);
        break;
      case 'save':
        out.save = savedTo(option, rest);
        break;
      case 'memcap':
        out.memcap = readSize(option, rest);
        break;
      case 'hashsize':
        out.hashSize = readSize(option, rest);
        break;
      default:
        option.fail(arg, 'unknown option', ['type', 'load', 'state', 'save', 'memcap', 'hashsize']);
    }
  }
  return out;
}

/** A rule may only have files written beside itself. */
function savedTo(option: OptionText, file: Arg): Arg {
  if (file.text === '' || file.text.startsWith('/') || file.text.split('/').includes('..')) option.fail(file, 'not a file in the folder of the rule file', ['a relative path without ..']);
  return file;
}

function readSize(option: OptionText, arg: Arg): number {
  const match = /^(\d+)\s*([kmg]i?b)?$/i.exec(arg.text) ?? option.fail(arg, 'not a size', ['n', 'nkb', 'nmb', 'ngb']);
  const size = Number(match[1]) * UNITS[(match[2] ?? '').toLowerCase()]!;
  if (size < 1 || size > SIZE_MAX) option.fail(arg, 'not a size in the accepted range', [`1..${SIZE_MAX}`]);
  return size;
}

/** The set of this name, made and filled when the first rule names it. */
function setOf(draft: RuleDraft, option: OptionText, name: Arg, settings: Settings, withReputation: boolean): Dataset {
  const { datasets } = draft.context;
  if (!/^[\w.-]{1,63}$/.test(name.text)) option.fail(name, 'not a name for a set', ['letters, digits, _ . -, at most 63']);
  const known = datasets.get(name.text);
  if (known !== undefined) {
    if (settings.type !== '' && settings.type !== known.type) option.fail(name, `the set has the type ${known.type}`, [known.type], 'conflict');
    return known;
  }
  if (settings.type === '') option.fail(name, 'the type is missing', DATASET_TYPES.map((type) => `type ${type}`));
  const { load, save, optional } = settings;
  const data = load === null ? null : draft.context.readFile(load.text, draft.rule.source.file);
  if (load !== null && data === null && !optional) option.fail(load, 'the file cannot be read', ['a path, relative to the rule file']);
  // What a set with `state` collected is newer than its file; of others a file that changed counts.
  const origin = load === null ? '' : optional ? `state ${load.text}` : createHash('sha256').update(data!).digest('hex');
  const { set, fresh } = datasets.create(name.text, settings.type, settings.memcap, settings.hashSize, origin);
  if (save !== null) datasets.keep(set, save.text, draft.rule.source.file);
  if (fresh && load !== null && data !== null) fill(option, load, set, Buffer.from(data).toString('latin1'), withReputation);
  return set;
}

/** One value per line: strings in base64, hashes in hex, addresses as text; a reputation behind a comma. */
function fill(option: OptionText, load: Arg, set: Dataset, text: string, withReputation: boolean): void {
  let line = 0;
  for (const raw of text.split('\n')) {
    line++;
    const entry = raw.trim();
    if (entry === '' || entry.startsWith('#')) continue;
    const [value, reputation] = entry.split(',');
    const bytes = valueBytes(set.type, value!.trim());
    const score = withReputation ? Number(reputation ?? NaN) : 0;
    if (bytes === null || !Number.isInteger(score) || score < 0 || score > 65_535) option.fail(load, `line ${line} is no ${set.type}${withReputation ? ' with a reputation' : ''}`);
    set.add(bytes, 0, bytes.length, score);
  }
}

/** Bytes of a value as buffers hold them, null when it is none. */
function valueBytes(type: DatasetType, text: string): Uint8Array | null {
  switch (type) {
    case 'string':
      return Buffer.from(text, 'base64');
    case 'md5':
    case 'sha256':
      return new RegExp(`^[0-9a-f]{${type === 'md5' ? 32 : 64}}$`, 'i').test(text) ? fromHex(text) : null;
    default:
      return addressBytes(text);
  }
}

/** A line of a file for a value, as `load` reads it. */
export function datasetLine(type: DatasetType, bytes: Uint8Array, reputation: number): string {
  const value =
    type === 'string'
      ? Buffer.from(bytes).toString('base64')
      : type === 'md5' || type === 'sha256'
        ? Buffer.from(bytes).toString('hex')
        : bytes.length === 4
          ? bytes.join('.')
          : Buffer.from(bytes).toString('hex').replace(/(.{4})(?!$)/g, '$1:');
  return reputation > 0 ? `${value},${reputation}` : value;
}

function addressBytes(text: string): Uint8Array | null {
  const four = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (four !== null) return four.slice(1).every((part) => Number(part) < 256) ? Uint8Array.from(four.slice(1), Number) : null;
  if (!/^[0-9a-f:]+$/i.test(text)) return null;
  const [head, tail, more] = text.split('::');
  if (more !== undefined) return null;
  const words = (part: string | undefined): string[] => (part === undefined || part === '' ? [] : part.split(':'));
  const left = words(head);
  const right = words(tail);
  const gap = 8 - left.length - right.length;
  if (tail === undefined ? gap !== 0 : gap < 1) return null;
  const all = [...left, ...Array.from({ length: gap }, () => '0'), ...right];
  if (!all.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return null;
  return Uint8Array.from(all.flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 255]));
}

function checkBuffer(draft: RuleDraft, option: OptionText): void {
  if (draft.current === draft.payload) option.fail(null, 'has to follow a sticky buffer', [`dns.query; ${option.name}:...`], 'conflict');
}

export const dataset = keyword({
  name: 'dataset',
  kind: 'content',
  help: 'Adds the whole buffer to a set of values (set: matches when it is new; unset), or asks whether it is there (isset, isnotset). Strings in files are base64, hashes hex.',
  usage: ['dataset:set|unset|isset|isnotset,name,type string|md5|sha256|ipv4|ip[,load file][,state file][,save file][,memcap n][,hashsize n]'],
  value: 'required',
  parse(draft, option) {
    checkBuffer(draft, option);
    const [command, name, ...rest] = option.split();
    if (command === undefined || name === undefined) option.fail(option.whole(), 'a command and a name are needed', ['set,name,type string']);
    if (!Object.hasOwn(COMMANDS, command.text)) option.fail(command, 'unknown command', Object.keys(COMMANDS));
    const set = setOf(draft, option, name, readSettings(option, rest), false);
    draft.add(new DatasetStep(set, COMMANDS[command.text]!, null));
  },
});

export const datarep = keyword({
  name: 'datarep',
  kind: 'content',
  help: 'Compares the reputation that a set gives to the whole buffer.',
  usage: ['datarep:name,<|>|==,n,type string|md5|sha256|ipv4|ip,load file[,memcap n][,hashsize n]'],
  value: 'required',
  parse(draft, option) {
    checkBuffer(draft, option);
    const [name, operator, number, ...rest] = option.split();
    if (name === undefined || operator === undefined || number === undefined) option.fail(option.whole(), 'fewer than three pieces', ['name,>,n,type string,load file']);
    if (!['<', '>', '==', '='].includes(operator.text)) option.fail(operator, 'unknown operator', ['<', '>', '==']);
    const test = parseNumberTest(option, { text: operator.text.replace('==', '=') + number.text, at: number.at - operator.text.length }, 0, 65_535);
    const set = setOf(draft, option, name, readSettings(option, rest), true);
    draft.add(new DatasetStep(set, DatasetCommand.REPUTATION, test));
  },
});
