/**
 * docs/configuration.md and schema/drawbridge.schema.json from the configuration's JSON Schema. A section is one top-level
 * setting; nested mappings become rows with dotted paths, lists `name[]`, maps `name.<key>`. Settings whose schema is one
 * object used in several places are described once and referred to after that.
 */
import { built, cell, code, table } from './markdown.mjs';

async function schema() {
  return (await built('appliance/config/schema.js')).configSchema;
}

/** Top-level settings, in the order of the schema. */
export async function settingNames() {
  return Object.keys((await schema()).properties);
}

export async function schemaText() {
  return `${JSON.stringify(await schema(), null, 2)}\n`;
}

/** Section of one top-level setting: its description and a table of everything below it. */
export async function setting(name) {
  const { properties, required = [] } = await schema();
  const node = properties[name];
  if (node === undefined) throw new Error(`there is no setting "${name}" (known: ${Object.keys(properties).join(', ')})`);
  const rows = [];
  const seen = new Map();
  const about = node.description ?? '';
  const own = `Accepted: ${accepted(node)}.${defaultOf(node, required.includes(name))}`;
  walk(node, name, rows, seen);
  return [about, own, rows.length === 0 ? '' : table(['setting', 'accepted', 'default', 'meaning'], rows)].filter(Boolean).join('\n\n');
}

function defaultOf(node, required) {
  if (required) return ' Required.';
  return node.default === undefined || isContainer(node) ? '' : ` Default: ${value(node.default)}.`;
}

function isContainer(node) {
  return node.properties !== undefined || node.items !== undefined || typeof node.additionalProperties === 'object';
}

/** `{ not: ... }` beside a value: told in one word, not in rows of its own. */
function isNegation(node) {
  return node.properties !== undefined && Object.keys(node.properties).join() === 'not';
}

function branchesOf(node) {
  return (node.oneOf ?? node.anyOf)?.filter((b) => !isNegation(b));
}

function isStructured(node) {
  return node.properties !== undefined || typeof node.additionalProperties === 'object' || (node.items !== undefined && isStructured(node.items)) || (branchesOf(node) ?? []).some(isStructured);
}

/** Rows of everything inside `node`. */
function walk(node, path, rows, seen) {
  const branches = branchesOf(node);
  if (branches !== undefined) {
    walkBranches(branches, path, rows, seen, node.properties ?? {});
    return;
  }
  if (node.properties !== undefined) {
    const known = seen.get(node);
    if (known !== undefined) {
      rows.push([code(`${path}.*`), '', '', `As ${code(`${known}.*`)}.`]);
      return;
    }
    seen.set(node, path);
    for (const [key, child] of Object.entries(node.properties)) row(child, `${path}.${key}`, (node.required ?? []).includes(key), rows, seen);
  }
  if (typeof node.additionalProperties === 'object') row(node.additionalProperties, `${path}.<name>`, false, rows, seen);
  if (node.items !== undefined && isStructured(node.items)) walk(node.items, `${path}[]`, rows, seen);
}

/** Alternatives that are told apart by a constant (ports by `type`): what all share first, then what is each one's own. */
function walkBranches(branches, path, rows, seen, around) {
  const objects = branches.filter((b) => b.properties !== undefined);
  const tag = objects.length < 2 ? undefined : Object.keys(objects[0].properties).find((k) => objects.every((b) => isTag(b.properties[k])));
  if (tag === undefined) {
    for (const branch of branches) if (isStructured(branch)) walk(branch, path, rows, seen);
    return;
  }
  const shared = Object.keys(objects[0].properties).filter((k) => k !== tag && objects.every((b) => JSON.stringify(b.properties[k]) === JSON.stringify(objects[0].properties[k])));
  const tags = objects.flatMap((b) => tagValues(b.properties[tag]));
  rows.push([code(`${path}.${tag}`), tags.map(code).join(', '), '*required*', cell(around[tag]?.description ?? objects[0].properties[tag].description ?? 'Selects which of the settings below apply.')]);
  for (const key of shared) row(objects[0].properties[key], `${path}.${key}`, objects.every((b) => (b.required ?? []).includes(key)), rows, seen);
  for (const branch of objects) {
    const label = tagValues(branch.properties[tag]).map(code).join(' or ');
    for (const [key, child] of Object.entries(branch.properties)) {
      if (key !== tag && !shared.includes(key)) row(child, `${path}.${key}`, (branch.required ?? []).includes(key), rows, seen, `With ${tag} ${label}.`);
    }
  }
}

function isTag(node) {
  return node !== undefined && (node.const !== undefined || node.enum !== undefined);
}

function tagValues(node) {
  return node.enum ?? [node.const];
}

/** Texts longer than this are not repeated where the same schema object is used again. */
const REPEATED_TEXT = 60;

function row(node, path, required, rows, seen, condition = '') {
  const fallback = required ? '*required*' : node.default === undefined || (isContainer(node) && isEmpty(node.default)) ? '' : value(node.default);
  const known = (node.description ?? '').length > REPEATED_TEXT ? seen.get(node) : undefined;
  const text = known === undefined ? cell(node.description ?? '') : `As ${code(known)}.`;
  rows.push([code(path), accepted(node), fallback, [condition, text].filter(Boolean).join(' ')]);
  if (known !== undefined) return;
  if ((node.description ?? '').length > REPEATED_TEXT && node.properties === undefined) seen.set(node, path);
  if (isStructured(node)) walk(node, path, rows, seen);
}

function isEmpty(x) {
  return typeof x === 'object' && x !== null && Object.keys(x).length === 0;
}

function value(x) {
  return x === '' ? 'empty' : code(typeof x === 'string' ? x : JSON.stringify(x).replaceAll('","', '", "'));
}

/** What a value may be, in words. */
function accepted(node) {
  const branches = branchesOf(node);
  if (branches !== undefined) {
    const lists = branches.filter((b) => b.items !== undefined && branches.some((o) => accepted(o) === accepted(b.items)));
    const words = [...new Set(branches.filter((b) => !lists.includes(b)).map(accepted))];
    if (lists.length > 0) words.push('a list of these');
    if ((node.oneOf ?? node.anyOf).some(isNegation)) words.push('`{ not: ... }`');
    return words.join(', or ');
  }
  if (node.const !== undefined) return code(node.const);
  if (node.enum !== undefined) return node.enum.map(code).join(', ');
  if (node.pattern?.includes('[kKmMgG]') === true) return 'size';
  const types = [node.type ?? 'string'].flat();
  return [...new Set(types.map((t) => typeWords(t, node)))].join(' or ');
}

function typeWords(type, node) {
  switch (type) {
    case 'integer':
    case 'number': {
      const low = node.minimum ?? (node.exclusiveMinimum === undefined ? undefined : `more than ${node.exclusiveMinimum}`);
      const word = type === 'integer' ? 'whole number' : 'number';
      if (low !== undefined && node.maximum !== undefined) return `${word} ${low} to ${node.maximum}`;
      return low === undefined ? word : typeof low === 'number' ? `${word} from ${low}` : `${word}, ${low}`;
    }
    case 'boolean':
      return 'boolean';
    case 'array':
      return node.items === undefined || isStructured(node.items) ? 'list' : `list of: ${accepted(node.items)}`;
    case 'object':
      return typeof node.additionalProperties === 'object' ? 'mapping by name' : 'mapping';
    case 'string':
      return node.maxLength === undefined ? 'text' : `text, at most ${node.maxLength} characters`;
    default:
      return type;
  }
}

export async function ruleVariables() {
  const { DEFAULT_VARS } = await built('ips/index.js');
  return table(['variable', 'value'], [...Object.entries(DEFAULT_VARS.addresses), ...Object.entries(DEFAULT_VARS.ports)].map(([name, v]) => [code(`$${name}`), code(v)]));
}

export async function flowTimeouts() {
  const { CONNTRACK_TIMEOUTS, DEEP_SECURITY_TIMEOUTS } = await built('flow/index.js');
  const states = Object.keys(CONNTRACK_TIMEOUTS);
  return table(['state', '`conntrack`', '`deep-security`'], states.map((s) => [code(s.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)), String(CONNTRACK_TIMEOUTS[s]), String(DEEP_SECURITY_TIMEOUTS[s])]));
}
