#!/usr/bin/env node
/**
 * Compiles the two optional native packages (cap: capture of passive mirror ports, raw-socket: active response on them). npm's
 * install scripts stay off (nothing but this runs code at install time); a failure only means that mirror ports are not
 * available. Tried again when the compiler or libpcap's headers came or went since.
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

for (const name of ['cap', 'raw-socket']) {
  const cwd = join(root, 'node_modules', name);
  const stamp = join(cwd, '.drawbridge-built');
  if (!existsSync(cwd) || (existsSync(stamp) && readFileSync(stamp, 'utf8') === toolchain)) continue;
  const r = spawnSync(process.execPath, [join(root, 'node_modules/node-gyp/bin/node-gyp.js'), 'rebuild', ...nodeDir], { cwd, encoding: 'utf8' });
  if (r.status !== 0) {
    const why = (r.stderr ?? '').split('\n').filter((line) => /error:|ERR! stack/.test(line)).slice(0, 3);
    process.stderr.write(`optional package ${name} did not build: mirror ports will not be available\n${why.map((line) => `  ${line}\n`).join('')}`);
  }
  writeFileSync(stamp, toolchain);
}
