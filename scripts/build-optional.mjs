#!/usr/bin/env node
/**
 * Compiles the two optional native packages (cap: passive mirror ports, raw-socket: active response on them). npm's install
 * scripts stay off (nothing but this runs code at install time); a failure only means that mirror ports are not available.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const prefix = process.env.npm_config_nodedir ?? join(dirname(process.execPath), '..');
const nodeDir = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];

for (const name of ['cap', 'raw-socket']) {
  const cwd = join(root, 'node_modules', name);
  if (!existsSync(cwd)) continue;
  const r = spawnSync(process.execPath, [join(root, 'node_modules/node-gyp/bin/node-gyp.js'), 'rebuild', ...nodeDir], { cwd, encoding: 'utf8' });
  if (r.status !== 0) {
    const tail = (r.stderr ?? '').trimEnd().split('\n').slice(-6).join('\n');
    process.stderr.write(`optional package ${name} did not build: passive mirror ports will not be available\n${tail}\n`);
  }
}
