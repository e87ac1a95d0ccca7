#!/usr/bin/env node
/**
 * Compiles the native packages that not everything needs (cap: capture of passive mirror ports, raw-socket: active response on
 * them, better-sqlite3: state of file scanning). npm's install scripts stay off (nothing but this runs code at install time); a
 * failure only means that what is named is not available. Tried again when the compiler or libpcap's headers came or went since.
 *
 *   node scripts/build-optional.mjs [--quick]      --quick leaves out what takes long and the lab does not need (SQLite: 50 s)
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const prefix = process.env.npm_config_nodedir ?? join(dirname(process.execPath), '..');
const nodeDir = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
const compiler = (process.env.PATH ?? '').split(':').some((dir) => existsSync(join(dir, process.env.CXX ?? 'c++')));
const toolchain = JSON.stringify({ node: process.versions.modules, compiler, pcap: existsSync('/usr/include/pcap.h') });

/** Package -> what is missing without it. */
const PACKAGES = { cap: 'mirror ports', 'raw-socket': 'active response on mirror ports', 'better-sqlite3': 'file scanning' };

for (const [name, purpose] of Object.entries(PACKAGES)) {
  if (name === 'better-sqlite3' && process.argv.includes('--quick')) continue;
  const cwd = join(root, 'node_modules', name);
  const stamp = join(cwd, '.drawbridge-built');
  if (!existsSync(cwd) || (existsSync(stamp) && readFileSync(stamp, 'utf8') === toolchain)) continue;
  const r = spawnSync(process.execPath, [join(root, 'node_modules/node-gyp/bin/node-gyp.js'), 'rebuild', ...nodeDir], { cwd, encoding: 'utf8' });
  if (r.status !== 0) {
    const why = (r.stderr ?? '').split('\n').filter((line) => /error:|ERR! stack/.test(line)).slice(0, 3);
    process.stderr.write(`optional package ${name} did not build: ${purpose} will not be available\n${why.map((line) => `  ${line}\n`).join('')}`);
  }
  writeFileSync(stamp, toolchain);
}
