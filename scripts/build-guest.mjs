#!/usr/bin/env node
/**
 * Compiles the driver for guests: guest/*.c -> guest/build/drawbridge-driver, one static program without any dependency.
 * Skipped when nothing changed. CC and CFLAGS (added) as usual; for another processor: CC=aarch64-linux-gnu-gcc.
 *
 *   node scripts/build-guest.mjs [--force] [--asan]     --asan: guest/build/drawbridge-driver-asan, not static, for tests
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'guest');
const asan = process.argv.includes('--asan');
const output = join(folder, 'build', asan ? 'drawbridge-driver-asan' : 'drawbridge-driver');
const stamp = `${output}.sha256`;
const compiler = process.env.CC ?? 'gcc';
const extra = (process.env.CFLAGS ?? '').split(' ').filter(Boolean);

const WARNINGS = ['-Wall', '-Wextra', '-Wshadow', '-Wformat=2', '-Wstrict-prototypes', '-Werror'];
const HARDENING = ['-D_FORTIFY_SOURCE=2', '-fstack-protector-strong', '-fstack-clash-protection', '-Wl,-z,relro,-z,now', '-Wl,-z,noexecstack'];
const flags = ['-std=c11', '-D_GNU_SOURCE', '-pthread', ...WARNINGS];
if (asan) flags.push('-O1', '-g', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined');
else flags.push('-O2', '-static', '-s', '-ffunction-sections', '-fdata-sections', '-Wl,--gc-sections', ...HARDENING);

const sources = readdirSync(folder).filter((f) => f.endsWith('.c')).toSorted();
const inputs = readdirSync(folder).filter((f) => /\.[ch]$/.test(f)).toSorted();
const hash = createHash('sha256').update(JSON.stringify([compiler, flags, extra]));
for (const file of inputs) hash.update(file).update(readFileSync(join(folder, file)));
const fingerprint = hash.digest('hex');

if (process.argv.includes('--force') || !existsSync(output) || !existsSync(stamp) || readFileSync(stamp, 'utf8') !== fingerprint) {
  console.log(`build-guest: compiling ${asan ? 'the driver under sanitizers' : 'the driver'}`);
  mkdirSync(dirname(output), { recursive: true });
  rmSync(stamp, { force: true });
  const made = spawnSync(compiler, [...flags, ...extra, ...sources.map((f) => join(folder, f)), '-o', output], { encoding: 'utf8' });
  if (made.error) {
    console.error(`build-guest: ${compiler}: ${made.error.message} (Debian: apt-get install gcc libc6-dev)`);
    process.exit(1);
  }
  process.stderr.write(made.stderr);
  if (made.status !== 0) {
    console.error('build-guest: failed');
    process.exit(1);
  }
  writeFileSync(stamp, fingerprint);
}
