import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'ava';

/** What a privilege drop leaves: run in a process of its own, since nothing brings privileges back. */
interface Report {
  left: number;
  threads: { CapPrm: string; CapEff: string; CapInh: string; CapBnd: string; NoNewPrivs: string; Uid: string; Groups: string; SigBlk: string }[];
  packet: string;
  worker: string;
}

const NET_ADMIN = 1n << 12n;
const NET_RAW = 1n << 13n;
const installed = createRequire(import.meta.url).resolve('@drawbridge/native');
// A copy that another user can load: the checkout may lie in a folder that is closed to everyone but its owner.
const folder = mkdtempSync(join(tmpdir(), 'drawbridge-privileges-'));
const native = join(folder, 'index.cjs');
const release = process.env['DRAWBRIDGE_NATIVE_BUILD'] === 'asan' ? 'build-asan/build/Release' : 'build/Release';
const root = process.getuid?.() === 0;

test.before(() => {
  cpSync(installed, native);
  cpSync(join(dirname(installed), release, 'drawbridge.node'), join(folder, release, 'drawbridge.node'));
  chmodSync(folder, 0o755);
});

test.after.always(() => rmSync(folder, { recursive: true, force: true }));

function dropIn(options: object): Report {
  const source = `
    const fs = require('node:fs');
    const { Worker } = require('node:worker_threads');
    const n = require(${JSON.stringify(native)});
    const left = n.dropPrivileges(${JSON.stringify(options)});
    const threads = fs.readdirSync('/proc/self/task').map((tid) => Object.fromEntries(
      fs.readFileSync('/proc/self/task/' + tid + '/status', 'utf8').split('\\n').map((l) => l.split(':\\t').map((x) => x.trim()))));
    const open = 'try { n.closeFd(n.openPacket("lo").fd); out = "ok"; } catch (e) { out = e.code; }';
    let out;
    eval(open);
    const w = new Worker('const n = require(' + JSON.stringify(${JSON.stringify(native)}) + '); let out;' + open +
      'require("node:worker_threads").parentPort.postMessage(out)', { eval: true });
    w.on('message', (worker) => console.log(JSON.stringify({ left, threads, packet: out, worker })));`;
  const r = spawnSync(process.execPath, ['-e', source], { encoding: 'utf8', cwd: folder });
  if (r.status !== 0) throw new Error(r.stderr);
  return JSON.parse(r.stdout) as Report;
}

const mask = (hex: string): bigint => BigInt(`0x${hex}`);

test('as root: only what is kept remains, on every thread that can be reached', (t) => {
  if (!root) {
    t.log('skipped: not root');
    t.pass();
    return;
  }
  const r = dropIn({ keep: ['cap_net_admin', 'cap_net_raw'] });
  const over = r.threads.filter((s) => (mask(s.CapPrm) & ~(NET_ADMIN | NET_RAW)) !== 0n);
  t.is(over.length, r.left);
  t.true(r.left <= 1, 'at most the debugger thread, which blocks every signal');
  for (const s of r.threads) {
    if (over.includes(s)) {
      t.true((mask(s.SigBlk) & (1n << 60n)) !== 0n);
      continue;
    }
    t.is(s.CapEff, s.CapPrm);
    t.is(mask(s.CapInh), 0n);
    t.is(mask(s.CapBnd) & ~(NET_ADMIN | NET_RAW), 0n);
    t.is(s.NoNewPrivs, '1');
  }
  t.is(r.packet, 'ok');
  t.is(r.worker, 'ok', 'workers started later inherit what was kept');
});

test('to another user: no thread holds more than what is kept', (t) => {
  if (!root) {
    t.log('skipped: not root');
    t.pass();
    return;
  }
  const r = dropIn({ uid: 65534, gid: 65534, keep: ['cap_net_raw', 'cap_net_admin'] });
  t.is(r.left, 0);
  for (const s of r.threads) {
    t.is(mask(s.CapPrm) & ~(NET_RAW | NET_ADMIN), 0n);
    t.is(s.Uid, '65534\t65534\t65534\t65534');
    t.is(s.Groups, '');
  }
  t.is(r.packet, 'ok');
  t.is(r.worker, 'ok');
  const nothing = dropIn({ uid: 65534 });
  t.is(nothing.packet, 'EPERM');
  t.true(nothing.threads.every((s) => mask(s.CapPrm) === 0n));
});

test('without privileges: dropping nothing is fine, changing identity is not', (t) => {
  const r = spawnSync(
    process.execPath,
    ['-e', `const n = require(${JSON.stringify(native)});
      ${root ? 'n.dropPrivileges({ uid: 65534, gid: 65534 });' : ''}
      console.log(n.dropPrivileges({ keep: ['cap_net_raw'] }));
      try { n.dropPrivileges({ uid: 0 }); } catch (e) { console.log(e.code, e.syscall); }`],
    { encoding: 'utf8', cwd: folder },
  );
  t.is(r.stderr, '');
  t.is(r.stdout, '0\nEPERM setresuid\n');
});
