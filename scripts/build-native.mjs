#!/usr/bin/env node
/**
 * Builds native/ with node-gyp, unless the build there is current.
 *
 *   node scripts/build-native.mjs           release build in native/build
 *   node scripts/build-native.mjs --asan    AddressSanitizer + UBSan build in native/build-asan, then runs the native
 *                                           tests under it
 *   --force                                 build even when up to date
 *
 * Headers: the running Node's own when it ships them (<prefix>/include/node), otherwise npm_config_nodedir, otherwise
 * node-gyp downloads them.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const native = path.join(root, 'native');
const asan = process.argv.includes('--asan');
const force = process.argv.includes('--force');
// node-gyp always builds into ./build: the sanitizer variant gets a folder of its own that links to the sources.
const folder = asan ? path.join(native, 'build-asan') : native;
const output = path.join(folder, 'build', 'Release', 'drawbridge.node');
const stampFile = path.join(folder, 'build', 'drawbridge.stamp');

function fail(message) {
  console.error(`build-native: ${message}`);
  process.exit(1);
}

/** What the build depends on. The Node-API itself is stable, the headers' V8 version (`modules`) is a safe proxy. */
function fingerprint() {
  const hash = createHash('sha256');
  for (const name of ['binding.gyp', ...readdirSync(path.join(native, 'src')).sort().map((f) => `src/${f}`)]) {
    hash.update(`${name}\0`).update(readFileSync(path.join(native, name)));
  }
  return hash.update(`${process.versions.modules} ${process.arch} ${asan ? 'asan' : 'release'}`).digest('hex');
}

function nodedir() {
  const own = path.resolve(path.dirname(process.execPath), '..');
  if (existsSync(path.join(own, 'include/node/node_api.h'))) return own;
  return process.env.npm_config_nodedir;
}

function checkLibraries() {
  const wanted = { 'hs/hs.h': 'libvectorscan-dev', 'pcre2.h': 'libpcre2-dev' };
  for (const [header, debianPackage] of Object.entries(wanted)) {
    const source = `#define PCRE2_CODE_UNIT_WIDTH 8\n#include <${header}>\n`;
    const probe = spawnSync(process.env.CXX ?? 'c++', ['-x', 'c++', '-fsyntax-only', '-'], { input: source });
    if (probe.error) fail(`no C++ compiler (${probe.error.message}); on Debian: apt-get install g++ make python3`);
    if (probe.status !== 0) fail(`<${header}> not found; on Debian: apt-get install ${debianPackage}`);
  }
}

function build() {
  checkLibraries();
  if (asan) {
    mkdirSync(folder, { recursive: true });
    for (const name of ['binding.gyp', 'src']) {
      const link = path.join(folder, name);
      if (!lstatSync(link, { throwIfNoEntry: false })) symlinkSync(path.join('..', name), link);
    }
  }
  const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  const args = [gyp, 'rebuild', '--directory', folder, '--loglevel', 'warn', '--jobs', 'max'];
  const headers = nodedir();
  if (headers !== undefined) args.push('--nodedir', headers);
  // An option node-gyp does not know becomes a variable of binding.gyp.
  if (asan) args.push('--sanitize=true');
  rmSync(stampFile, { force: true });
  const made = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
  if (made.status !== 0) fail(`node-gyp failed\n${made.stdout}${made.stderr}`);
  const warnings = made.stderr.split('\n').filter((line) => line.includes('warning:'));
  if (warnings.length > 0) console.error(warnings.join('\n'));
  // A sanitizer build that is none would pass every test.
  if (asan && !readFileSync(output).includes('__asan_init')) fail('the sanitizer build is not instrumented');
  writeFileSync(stampFile, fingerprint());
}

/** Path of a sanitizer runtime, which must be loaded before node (whose binary is not instrumented) does anything. */
function runtime(name) {
  const found = spawnSync(process.env.CC ?? 'cc', [`-print-file-name=${name}`], { encoding: 'utf8' }).stdout.trim();
  if (!path.isAbsolute(found)) fail(`${name} not found: the compiler has no sanitizer runtime`);
  return found;
}

function runTests() {
  const ava = path.join(root, 'node_modules/ava/entrypoints/cli.mjs');
  const env = {
    ...process.env,
    DRAWBRIDGE_NATIVE_BUILD: 'asan',
    LD_PRELOAD: `${runtime('libasan.so')}:${runtime('libubsan.so')}`,
    // Leaks are not reported: V8 and node free next to nothing at exit, so every run would report thousands that are
    // not ours. Errors of memory in our code (bounds, use after free, double free) are what this build is for.
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:strict_string_checks=1',
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  };
  const run = spawnSync(process.execPath, [ava, '--serial', '--timeout=300s', 'dist/test/unit/native/*.test.js', 'dist/test/unit/vswitch/qemu-port.test.js'], {
    cwd: root,
    env,
    stdio: 'inherit',
  });
  if (run.status !== 0) fail(`native tests failed under the sanitizers (${run.signal ?? run.status})`);
}

const current = existsSync(output) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === fingerprint();
if (!current || force) {
  console.log(`build-native: compiling the ${asan ? 'sanitizer' : 'release'} addon for Node ${process.version}`);
  build();
}
if (asan) runTests();
