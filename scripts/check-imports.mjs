#!/usr/bin/env node
/**
 * Lint: imports run one way (docs/architecture.md). Checks for every file under src/ that
 * - it imports only rooms listed for its own room, and those through their index.js;
 * - Node's I/O modules appear only where a room is allowed to touch the outside world;
 * - no import cycle exists between files.
 * Prints file:line for each finding and exits 1.
 */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const base = ['util', 'packet', 'pipeline'];
const engine = [...base, 'flow', 'protocols'];

/** Room -> rooms it may import. */
const ALLOWED = {
  util: [],
  packet: ['util'],
  pipeline: ['util', 'packet'],
  flow: base,
  protocols: [...base, 'flow'],
  vswitch: base,
  firewall: engine,
  ips: engine,
  web: engine,
  'virtual-patch': engine,
  'file-events': engine,
  manager: [...engine, 'firewall', 'ips', 'web', 'virtual-patch', 'file-events'],
  appliance: [...engine, 'vswitch', 'firewall', 'ips', 'web', 'virtual-patch', 'file-events', 'manager'],
};
/** Rooms (or files) that may use node:fs, node:net, child processes and the like. */
const IO_ALLOWED = ['packet/pcap', 'vswitch', 'file-events', 'manager', 'appliance'];
const PURE_NODE = new Set(['node:zlib', 'node:crypto', 'node:buffer', 'node:util', 'node:assert']);

const files = [];
(function walk(dir) {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    if (statSync(path).isDirectory()) walk(path);
    else if (name.endsWith('.ts')) files.push(path);
  }
})(join(root, 'src'));

let findings = 0;
function report(file, line, text) {
  findings++;
  console.error(`${relative(root, file)}:${line}: ${text}`);
}

const IMPORT = /^\s*(?:import|export)\b[^'"]*?from\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm;
const graph = new Map();
for (const file of files) {
  const text = readFileSync(file, 'utf8');
  const inSrc = relative(join(root, 'src'), file).split(sep);
  const room = inSrc[0];
  const targets = [];
  for (const m of text.matchAll(IMPORT)) {
    const spec = m[1] ?? m[2] ?? m[3];
    const line = text.slice(0, m.index).split('\n').length;
    if (spec.startsWith('node:')) {
      const here = inSrc.join('/');
      if (!PURE_NODE.has(spec) && !IO_ALLOWED.some((p) => here.startsWith(p))) report(file, line, `${room} may not use ${spec}: I/O belongs to ${IO_ALLOWED.join(', ')}`);
      continue;
    }
    if (!spec.startsWith('.')) continue;
    const target = normalize(join(dirname(file), spec.replace(/\.js$/, '.ts')));
    const to = relative(join(root, 'src'), target).split(sep);
    if (to[0] === '..') {
      report(file, line, `imports ${spec}, which is outside src/`);
      continue;
    }
    if (!/^\s*(?:import|export)\s+type\b/.test(m[0])) targets.push(target);
    if (to[0] === room) continue;
    if (!(ALLOWED[room] ?? []).includes(to[0])) report(file, line, `room ${room} may not import ${to[0]} (allowed: ${(ALLOWED[room] ?? []).join(', ') || 'nothing'})`);
    else if (to[to.length - 1] !== 'index.ts' && !(to[0] === 'packet' && ['packet-view.ts', 'frame-batch.ts'].includes(to[1]))) report(file, line, `import ${to[0]} through its index.js, not ${to.join('/')}`);
  }
  graph.set(file, targets);
}

const state = new Map();
function visit(file, path) {
  state.set(file, 1);
  for (const next of graph.get(file) ?? []) {
    if (state.get(next) === 1) report(file, 1, `import cycle: ${[...path.slice(path.indexOf(next)), next].map((f) => relative(root, f)).join(' -> ')}`);
    else if (!state.has(next) && graph.has(next)) visit(next, [...path, next]);
  }
  state.set(file, 2);
}
for (const file of files) if (!state.has(file)) visit(file, [file]);

if (findings > 0) {
  console.error(`check-imports: ${findings} finding(s)`);
  process.exit(1);
}
console.log(`check-imports: ${files.length} files, imports run one way, no cycles`);
