/**
 * What `drawbridge run` holds once its ports are open, on every thread, by the kernel's own account. Needs root and
 * /dev/net/tun; says why when it cannot run.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const bin = fileURLToPath(new URL('../../../bin/drawbridge', import.meta.url));
const why = process.getuid?.() !== 0 ? 'not root' : existsSync('/dev/net/tun') ? '' : 'no /dev/net/tun';
if (why !== '') process.stdout.write(`privilege tests skipped: ${why}\n`);
const live = why === '' ? test : test.skip;

/** NET_ADMIN is bit 12, NET_RAW bit 13. */
const KEPT = 0x3000n;
const folder = mkdtempSync(join(tmpdir(), 'drawbridge-live-'));
chmodSync(folder, 0o777);
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

interface Thread {
  readonly uid: string;
  readonly permitted: bigint;
  readonly blocksSignals: boolean;
  readonly noNewPrivileges: boolean;
}

function threads(pid: number): Thread[] {
  return readdirSync(`/proc/${pid}/task`).map((tid) => {
    const fields = new Map(readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8').split('\n').map((l) => l.split(/:\s+/, 2) as [string, string]));
    const hex = (name: string): bigint => BigInt(`0x${fields.get(name)!}`);
    return { uid: fields.get('Uid')!, permitted: hex('CapPrm'), blocksSignals: (hex('SigBlk') & (1n << 60n)) !== 0n, noNewPrivileges: fields.get('NoNewPrivs') === '1' };
  });
}

async function started(device: string, privileges: string): Promise<{ child: ChildProcess; ended: Promise<number | null> }> {
  const file = join(folder, `${device}.yaml`);
  writeFileSync(file, `vms: { a: {} }\nports: [{ name: a0, type: tap, device: ${device}, vm: a }]\nmetrics: { listen: "" }\nevents: { file: ${device}.json }\nprivileges: ${privileges}\n`);
  const child = spawn(process.execPath, [bin, 'run', '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((settle) => child.once('exit', settle));
  let text = '';
  await new Promise<void>((settle, reject) => {
    child.stderr!.on('data', (data: Buffer) => (text += data.toString()));
    child.stdout!.on('data', (data: Buffer) => (data.toString().includes('READY') ? settle() : undefined));
    void ended.then((code) => reject(new Error(`ended with ${code}: ${text}`)));
  });
  return { child, ended };
}

live('as root: every thread that can be told keeps NET_ADMIN and NET_RAW only', async (t) => {
  const { child, ended } = await started(`dbpr${process.pid % 10_000}a`, '{}');
  const all = threads(child.pid!);
  // The debugger's thread blocks every signal; `node --disable-sigusr1` (container image) has none.
  const reached = all.filter((s) => !s.blocksSignals);
  t.true(reached.length > 2 && all.length - reached.length <= 1);
  for (const s of reached) t.deepEqual([s.permitted, s.noNewPrivileges], [KEPT, true]);
  child.kill('SIGTERM');
  t.is(await ended, 0);
});

live('privileges.user: the data plane keeps its capabilities, everything else loses them', async (t) => {
  const { child, ended } = await started(`dbpr${process.pid % 10_000}b`, '{ user: "65534:65534", drop: false }');
  const all = threads(child.pid!);
  t.true(all.every((s) => s.uid === '65534\t65534\t65534\t65534'));
  t.is(all.filter((s) => s.permitted === KEPT).length, 1);
  t.true(all.every((s) => s.permitted === KEPT || s.permitted === 0n));
  child.kill('SIGTERM');
  t.is(await ended, 0);
});

live('as another user without capabilities: one line that says what is missing', (t) => {
  const file = join(folder, 'nobody.yaml');
  writeFileSync(file, 'vms: { a: {} }\nports: [{ name: a0, type: tap, device: dbprn, vm: a }]\nmetrics: { listen: "" }\nevents: { file: "" }\n');
  const nobody = (...argv: string[]) => spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all', ...argv], { encoding: 'utf8' });
  if (nobody('test', '-r', bin).status !== 0) {
    t.log('skipped: the checkout lies in a folder closed to other users');
    t.pass();
    return;
  }
  const r = nobody(process.execPath, bin, 'run', '-c', file);
  t.is(r.status, 1);
  t.regex(r.stderr, /^drawbridge: E(PERM|ACCES): .*; this takes CAP_NET_ADMIN[^\n]*\n$/);
});
