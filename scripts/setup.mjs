#!/usr/bin/env node
/**
 * Brings a fresh Debian machine to the point where the appliance runs: Debian packages (as root), npm packages, native
 * addon, compiled TypeScript. Each step is skipped when nothing changed. Runs before `npm start` and `npm test`, so those
 * two are the only commands a newcomer needs. Uses Node's own modules only: nothing is installed when it starts.
 *
 *   node scripts/setup.mjs [--test]      --test also installs what the test suite drives (iperf3, tcpdump, nmap, ...)
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const forTests = process.argv.includes('--test') || process.env.npm_lifecycle_event === 'pretest';

/** Debian package -> why it is needed. */
const BUILD_PACKAGES = {
  'g++': 'compiles the native addon and the driver for guests',
  make: 'drives the native build',
  python3: 'runs node-gyp',
  'libvectorscan-dev': 'multi-pattern matching',
  'libpcre2-dev': 'pcre keyword',
  'libpcap-dev': 'passive mirror ports (cap)',
  iproute2: 'the lab builds network namespaces with ip',
  curl: 'client and attacker of the lab',
  'nginx-light': 'web server of the lab',
  nmap: 'port scan of the lab',
};
const TEST_PACKAGES = {
  iperf3: 'bulk TCP through TAP ports',
  tcpdump: 'captures in tests',
  'python3-yaml': 'reads the regression tests of the Core Rule Set',
  ethtool: 'checks offloads',
  nftables: 'asks the kernel what its connection tracking says',
  procps: 'sets up network namespaces of live tests (sysctl)',
  'iputils-ping': 'round trips through TAP ports',
  'qemu-system-x86': 'a real guest behind a qemu-stream port',
  'busybox-static': 'what that guest runs; DHCP server of tests',
  arping: 'ARP of tests',
  'clamav-daemon': 'clamd with a database of our own scans files in tests',
  'clamav-testfiles': 'what it has to find',
};

function step(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function run(command, args, options = {}) {
  const r = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  if (r.error) throw new Error(`${command}: ${r.error.message}`);
  if (r.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${r.status ?? r.signal}`);
}

function missingPackages(wanted) {
  const r = spawnSync('dpkg-query', ['-W', '-f=${Package} ${db:Status-Status}\n', ...wanted], { encoding: 'utf8' });
  if (r.error) return null; // not a Debian system
  const have = new Set(r.stdout.split('\n').filter((l) => l.endsWith(' installed')).map((l) => l.split(' ')[0]));
  return wanted.filter((p) => !have.has(p) && !(p === 'nginx-light' && (have.has('nginx') || have.has('nginx-core') || have.has('nginx-full'))));
}

function debianPackages() {
  const table = forTests ? { ...BUILD_PACKAGES, ...TEST_PACKAGES } : BUILD_PACKAGES;
  const missing = missingPackages(Object.keys(table));
  if (missing === null) {
    step(`not a Debian system: make sure these are installed: ${Object.keys(table).join(' ')}`);
    return;
  }
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0) {
    const list = missing.map((p) => `  ${p} (${table[p]})`).join('\n');
    step(`missing Debian packages:\n${list}\ninstall them with: sudo apt-get install ${missing.join(' ')}`);
    return;
  }
  step(`installing Debian packages: ${missing.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args) => run('apt-get', ['-o', 'DPkg::Lock::Timeout=300', '-qq', ...args], { env, stdio: ['ignore', 'ignore', 2] });
  apt('update');
  apt('install', '-y', '--no-install-recommends', ...missing);
}

/** A kernel for the QEMU guest of the tests: unpacked, not installed, since this machine is not to boot it. */
function guestKernel() {
  const target = join(root, '.cache', 'guest-kernel');
  if (!forTests || existsSync(join(target, 'boot')) || process.arch !== 'x64' || process.getuid?.() !== 0) return;
  const depends = spawnSync('apt-cache', ['depends', 'linux-image-cloud-amd64'], { encoding: 'utf8' });
  const name = /Depends: (linux-image-\S+)/.exec(depends.stdout ?? '')?.[1];
  if (name === undefined) return; // not Debian: those tests say that they are skipped
  step(`fetching a guest kernel: ${name}`);
  mkdirSync(join(root, '.cache'), { recursive: true });
  const dir = mkdtempSync(join(root, '.cache', 'download-'));
  try {
    run('apt-get', ['-qq', '-o', 'APT::Sandbox::User=root', 'download', name], { cwd: dir, stdio: ['ignore', 'ignore', 2] });
    run('dpkg-deb', ['-x', join(dir, readdirSync(dir)[0]), target]);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function npmPackages() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  const want = createHash('sha256').update(lock).update(process.versions.modules).digest('hex');
  const stamp = join(root, 'node_modules', '.drawbridge-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === want) return;
  step('installing npm packages');
  // Install scripts are refused: the two optional native packages are built by name, nothing else may run code.
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']);
  writeFileSync(stamp, want);
}

/** A script of ours that tells itself what is wrong: its exit code says enough here. */
function script(name, ...args) {
  const r = spawnSync(process.execPath, [join(root, 'scripts', name), ...args], { cwd: root, stdio: ['ignore', 2, 2] });
  if (r.status !== 0) throw new Error(`${name} failed, see above`);
}

try {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) throw new Error(`Node.js >= 20.19 is needed, this is ${process.versions.node}`);
  debianPackages();
  guestKernel();
  npmPackages();
  // The lab starts without what takes long to compile.
  script('build-optional.mjs', ...(process.env.npm_lifecycle_event === 'prestart' ? ['--quick'] : []));
  script('build.mjs');
} catch (error) {
  process.stderr.write(`setup: ${error.message}\n`);
  process.exit(1);
}
