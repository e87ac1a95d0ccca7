/**
 * Two network namespaces, each with the far end of a TAP port, through Switch: real ping, real TCP with super-frames.
 * Needs root and /dev/net/tun; says why when it cannot run.
 */
import { execFileSync, spawn } from 'node:child_process';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { FrameBatch } from '../../src/packet/index.js';
import { Counters, P_FORWARDED, P_RX_FRAMES, P_RX_SEGMENTS } from '../../src/pipeline/index.js';
import { ALLOW_ALL, AfPacketPort, PortSet, Switch, TapPort, type SwitchPortConfig } from '../../src/vswitch/index.js';

const tag = (process.pid % 100_000).toString(36);
const namespaces = [`vsw-a-${tag}`, `vsw-b-${tag}`];
const devices = [`vswa${tag}`, `vswb${tag}`];
const macs = ['02:00:00:00:01:0a', '02:00:00:00:01:0b'];

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Why the kernel will not let us, '' when it will. */
function refusal(): string {
  try {
    ip('netns', 'add', `vsw-probe-${tag}`);
    ip('netns', 'del', `vsw-probe-${tag}`);
    const probe = new TapPort({ device: `vswp${tag}`, up: false });
    probe.open({ wakeFd: -1 });
    probe.close();
    return '';
  } catch (error) {
    return error instanceof Error ? error.message.trim() : String(error);
  }
}

interface Rig {
  readonly set: PortSet;
  readonly switch: Switch;
  readonly counters: Counters;
}

/** @param veth the second port is the host side of a veth pair (a container) instead of a TAP device */
function build(configs: readonly SwitchPortConfig[], veth = false): Rig {
  const batch = new FrameBatch();
  const set = new PortSet(batch);
  for (const [i, device] of devices.entries()) {
    ip('netns', 'add', namespaces[i]!);
    if (veth && i === 1) {
      ip('link', 'add', `${device}h`, 'type', 'veth', 'peer', 'name', device);
      ip('link', 'set', `${device}h`, 'up');
      set.add(i, new AfPacketPort({ interface: `${device}h` }));
    } else {
      set.add(i, new TapPort({ device, up: false }));
    }
    ip('link', 'set', device, 'address', macs[i]!, 'netns', namespaces[i]!);
    ip('-n', namespaces[i]!, 'addr', 'add', `10.231.0.${i + 1}/24`, 'dev', device);
    ip('-n', namespaces[i]!, 'link', 'set', 'lo', 'up');
    ip('-n', namespaces[i]!, 'link', 'set', device, 'up');
  }
  const counters = new Counters(2);
  return { set, counters, switch: new Switch(configs, batch, counters, ALLOW_ALL, set) };
}

function tearDown(set: PortSet): void {
  set.close();
  for (const name of namespaces) {
    try {
      ip('netns', 'del', name);
    } catch {
      // It was never made: `build` failed before.
    }
  }
}

/** Switch frames while a command runs in a namespace. @returns its exit code and output */
async function during(rig: Rig, namespace: number, command: readonly string[]): Promise<{ code: number | null; text: string }> {
  const child = spawn('ip', ['netns', 'exec', namespaces[namespace]!, ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  const ended: (number | null)[] = [];
  child.stdout.on('data', (data: Buffer) => (text += data.toString()));
  child.stderr.on('data', (data: Buffer) => (text += data.toString()));
  child.on('close', (status) => ended.push(status));
  const deadline = Date.now() + 30_000;
  while (ended.length === 0 && Date.now() < deadline) {
    rig.set.poll(2);
    rig.switch.processBatch(Math.floor(Date.now() / 1000));
    await turn();
  }
  if (ended.length === 0) child.kill();
  return { code: ended[0] ?? null, text };
}

const guests: SwitchPortConfig[] = [
  { name: 'a', mac: macs[0]!, ips: ['10.231.0.1'] },
  { name: 'b', mac: macs[1]!, ips: ['10.231.0.2'] },
];
const why = refusal();
const live = why === '' ? test.serial : test.serial.skip;
if (why !== '') console.log(`TAP test skipped: ${why}`);

live('ping between two namespaces', async (t) => {
  const rig = build(guests);
  try {
    const ping = await during(rig, 0, ['ping', '-c', '3', '-i', '0.2', '-W', '3', '10.231.0.2']);
    t.is(ping.code, 0, ping.text);
    t.regex(ping.text, /3 received/);
    t.true(rig.counters.port(0, P_FORWARDED) >= 3);
    rig.switch.setPortState(1, 'quarantine');
    const cut = await during(rig, 0, ['ping', '-c', '1', '-W', '1', '10.231.0.2']);
    t.not(cut.code, 0, 'a quarantined port is cut off');
    for (const port of [0, 1]) t.is(rig.counters.unaccounted(port), 0);
  } finally {
    tearDown(rig.set);
  }
});

const SERVER = `
const net = require('node:net'); const hash = require('node:crypto').createHash('sha256'); let bytes = 0;
net.createServer((s) => { s.on('data', (d) => { hash.update(d); bytes += d.length; }); s.on('end', () => s.end(bytes + ' ' + hash.digest('hex'))); s.on('close', () => process.exit(0)); }).listen(5001);
setTimeout(() => process.exit(1), 25000);`;
const CLIENT = `
const net = require('node:net'); const hash = require('node:crypto').createHash('sha256');
const data = Buffer.alloc(8 << 20); for (let i = 0; i < data.length; i += 4) data.writeUInt32LE((i * 2654435761) >>> 0, i); hash.update(data);
const want = data.length + ' ' + hash.digest('hex'); let answer = '';
(function dial() { const s = net.connect(5001, '10.231.0.2'); s.on('error', () => setTimeout(dial, 100)); s.on('connect', () => s.end(data)); s.on('data', (d) => { answer += d; }); s.on('end', () => process.exit(answer === want ? 0 : 3)); })();`;

for (const veth of [false, true]) {
  live(`TCP with segmentation offload arrives intact, TAP to ${veth ? 'veth' : 'TAP'}`, async (t) => {
    const rig = build(guests, veth);
    const server = spawn('ip', ['netns', 'exec', namespaces[1]!, process.execPath, '-e', SERVER], { stdio: 'ignore' });
    try {
      const client = await during(rig, 0, [process.execPath, '-e', CLIENT]);
      t.is(client.code, 0, client.text);
      const frames = rig.counters.port(0, P_RX_FRAMES);
      t.true(rig.counters.port(0, P_RX_SEGMENTS) > frames, 'super-frames passed whole');
      for (const port of [0, 1]) t.is(rig.counters.unaccounted(port), 0);
    } finally {
      server.kill();
      tearDown(rig.set);
    }
  });
}
