#!/usr/bin/env node
/** Compiles the native addon and the driver for guests (when their sources changed) and all TypeScript into dist/. Incremental. */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

function run(args) {
  const r = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (r.status !== 0) process.exit(r.status ?? 1);
}

run([join(root, 'scripts/build-native.mjs')]);
run([join(root, 'scripts/build-guest.mjs')]);
run([join(root, 'node_modules/typescript/bin/tsc'), '-b']);
