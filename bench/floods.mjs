#!/usr/bin/env node
/**
 * What a flood from one VM does to a TCP transfer between two others. Four network namespaces on TAP ports of `drawbridge run`:
 * client and server with iperf3, a victim, and an attacker whose generator (dist/test/helpers/raw-frames.js) sends as fast as it can.
 *
 *   node bench/floods.mjs [--kinds syn,udp,fragment,arp,mac] [--seconds 6] [--rate FRAMES_PER_SECOND] [--runs 1] [--target victim|server] [--json FILE]
 *
 * Root, iperf3. The generator takes processor time of its own, which says nothing about the switch: so the transfer is also
 * measured while the same generator sends, at the same rate, into an interface that leads nowhere. `ratio` compares with that;
 * `of idle` with no generator at all. Target: ratio >= 0.8. `us/frame` is the appliance's processor time for one frame of the flood
 * when nothing else runs: unlike rates it means the same on a busy machine.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { values: o } = parseArgs({
  options: { kinds: { type: 'string', default: 'syn,udp,fragment,arp,mac' }, seconds: { type: 'string', default: '6' }, rate: { type: 'string', default: '0' }, runs: { type: 'string', default: '1' }, target: { type: 'string', default: 'victim' }, json: { type: 'string' } },
});
const seconds = Number(o.seconds);
const tag = (process.pid % 46_000).toString(36);
const vms = ['client', 'server', 'attacker', 'victim'].map((name, i) => ({ name, ns: `dbf-${name[0]}-${tag}`, mac: `02:00:0a:51:00:0${i + 1}`, ip: `10.81.0.${i + 1}` }));
const [client, server, attacker, victim] = vms;
const target = o.target === 'server' ? server : victim;
const dir = mkdtempSync(path.join(tmpdir(), 'drawbridge-floods-'));

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });

/** Run a command in a namespace to its end. @returns its output */
function inside(vm, command, args) {
  return new Promise((settle, reject) => {
    const child = spawn('ip', ['netns', 'exec', vm.ns, command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    let errors = '';
    child.stdout.on('data', (d) => (text += d));
    child.stderr.on('data', (d) => (errors += d));
    child.on('close', (code) => (code === 0 ? settle(text) : reject(new Error(`${command}: ${errors || text}`))));
  });
}

async function transfer() {
  const report = JSON.parse(await inside(client, 'iperf3', ['-c', server.ip, '-t', String(seconds), '-J', '--connect-timeout', '3000']));
  if (report.error) throw new Error(report.error);
  return report.end.sum_received.bits_per_second / 1e9;
}

/** @returns what the generator sent per second */
async function generate(kind, device, forSeconds) {
  const args = [path.join(root, 'dist/test/helpers/raw-frames.js'), device, 'flood', kind, String(forSeconds), o.rate, attacker.mac, kind === 'mac' ? '02:ff:ff:ff:ff:fe' : target.mac, attacker.ip, target.ip];
  return JSON.parse(await inside(attacker, process.execPath, args)).sent / forSeconds;
}

/** A transfer while the generator runs; it begins a second before and ends a second after. */
async function during(kind, device) {
  const generator = generate(kind, device, seconds + 2);
  await sleep(1000);
  const rate = await transfer();
  return { rate, offered: await generator };
}

async function metrics(url) {
  const text = await (await fetch(url)).text();
  const samples = [...text.matchAll(/^(drawbridge_\w+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name, labels, value]) => ({ name, labels: labels ?? '', value: Number(value) }));
  return {
    sum: (name, ...labels) => samples.filter((s) => s.name === `drawbridge_${name}` && labels.every((l) => s.labels.includes(l))).reduce((n, s) => n + s.value, 0),
    reasons: (vm) => Object.fromEntries(samples.filter((s) => s.name === 'drawbridge_dropped_frames_total' && s.labels.includes(`vm="${vm}"`)).map((s) => [/reason="(\w+)"/.exec(s.labels)[1], s.value])),
  };
}

/** Processor seconds of a process so far: all, and those outside the kernel. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return { all: (Number(fields[11]) + Number(fields[12])) / 100, user: Number(fields[11]) / 100 };
}

/** The flood alone: what one of its frames costs the appliance. @returns microseconds of processor time, all and outside the kernel */
async function costOfFrame(kind, pid, url) {
  const [before, cpu] = [await metrics(url), cpuSeconds(pid)];
  await generate(kind, 'eth0', 2);
  const [after, now] = [await metrics(url), cpuSeconds(pid)];
  const frames = after.sum('received_frames_total', 'vm="attacker"') - before.sum('received_frames_total', 'vm="attacker"');
  return { cost: ((now.all - cpu.all) * 1e6) / frames, user: ((now.user - cpu.user) * 1e6) / frames };
}

const rssMiB = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

function config() {
  const ports = vms.map((v) => `  - { name: ${v.name}0, type: tap, device: ${v.ns}, up: false, vm: ${v.name}, mac: "${v.mac}"${v.name === 'attacker' ? ', security: { forged_transmits: accept, mac_changes: accept }' : ''} }`);
  // Protected only by what a VM has by default: shares of the tables. Rate limits would make the flood smaller.
  return `vms: { client: {}, server: { firewall: open }, attacker: {}, victim: {} }\nports:\n${ports.join('\n')}\nfirewall: { policies: { open: { rules: [{ name: iperf, action: allow, direction: in, protocol: tcp }, { name: udp, action: allow, direction: in, protocol: udp }] } } }\nmetrics: { listen: "127.0.0.1:0" }\nevents: { file: "" }\n`;
}

async function main() {
  writeFileSync(path.join(dir, 'drawbridge.yaml'), config());
  for (const v of vms) ip('netns', 'add', v.ns);
  const device = spawn(process.execPath, [path.join(root, 'bin/drawbridge'), 'run', '-c', path.join(dir, 'drawbridge.yaml')], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  device.stdout.on('data', (d) => (said += d));
  device.stderr.on('data', (d) => (said += d));
  const results = [];
  let iperf;
  try {
    for (let i = 0; !said.includes('READY\n'); i++) {
      if (i > 600 || device.exitCode !== null) throw new Error(`drawbridge does not start: ${said}`);
      await sleep(100);
    }
    const url = /metrics at (\S+)/.exec(said)[1];
    for (const v of vms) {
      ip('link', 'set', v.ns, 'netns', v.ns, 'name', 'eth0');
      ip('-n', v.ns, 'link', 'set', 'lo', 'up');
      ip('-n', v.ns, 'link', 'set', 'eth0', 'addrgenmode', 'none');
      ip('-n', v.ns, 'link', 'set', 'eth0', 'address', v.mac, 'up');
      ip('-n', v.ns, 'address', 'add', `${v.ip}/24`, 'dev', 'eth0');
    }
    // A TAP that nobody reads: its queue fills up and the rest is dropped, as on a device that is down.
    ip('-n', attacker.ns, 'tuntap', 'add', 'dev', 'nowhere', 'mode', 'tap');
    ip('-n', attacker.ns, 'link', 'set', 'nowhere', 'up');
    iperf = spawn('ip', ['netns', 'exec', server.ns, 'iperf3', '-s'], { stdio: 'ignore' });
    await sleep(500);
    await transfer(); // both ends warm
    console.log('flood     offered kpps  us/frame  outside kernel  idle Gbit/s  generator elsewhere  under flood  ratio  of idle  RSS MiB  flows  refused at the attacker');
    for (const kind of o.kinds.split(',')) {
      const runs = [];
      for (let i = 0; i < Number(o.runs); i++) {
        const idle = await transfer();
        const beside = await during(kind, 'nowhere');
        const before = await metrics(url);
        const under = await during(kind, 'eth0');
        const after = await metrics(url);
        const refused = Object.entries(after.reasons('attacker')).map(([name, n]) => [name, n - (before.reasons('attacker')[name] ?? 0)]).filter(([, n]) => n > 0);
        runs.push({ ...(await costOfFrame(kind, device.pid, url)), idle, beside: beside.rate, under: under.rate, offered: under.offered, ratio: under.rate / beside.rate, rss: rssMiB(device.pid), flows: after.sum('flows'), refused, goodLost: after.sum('dropped_frames_total', 'vm="client"') - before.sum('dropped_frames_total', 'vm="client"') });
      }
      const of = (key) => median(runs.map((r) => r[key]));
      results.push({ kind, runs });
      console.log(`${kind.padEnd(8)} ${(of('offered') / 1000).toFixed(0).padStart(13)} ${of('cost').toFixed(2).padStart(9)} ${of('user').toFixed(2).padStart(15)} ${of('idle').toFixed(2).padStart(12)} ${of('beside').toFixed(2).padStart(20)} ${of('under').toFixed(2).padStart(12)} ${of('ratio').toFixed(2).padStart(6)} ${(of('under') / of('idle')).toFixed(2).padStart(8)} ${of('rss').toFixed(0).padStart(8)} ${String(of('flows')).padStart(6)}  ${runs.at(-1).refused.map(([name, n]) => `${name} ${n}`).join(', ') || 'none'}${runs.some((r) => r.goodLost > 0) ? ` (client lost ${of('goodLost')})` : ''}`);
    }
  } finally {
    iperf?.kill();
    device.kill('SIGTERM');
    for (const v of vms) {
      try {
        for (const pid of execFileSync('ip', ['netns', 'pids', v.ns], { encoding: 'utf8' }).split('\n').filter(Boolean)) process.kill(Number(pid));
        ip('netns', 'del', v.ns);
      } catch (error) {
        console.error(`floods: ${error.message}`);
      }
    }
    rmSync(dir, { recursive: true, force: true });
  }
  if (o.json !== undefined) writeFileSync(o.json, JSON.stringify(results, null, 2));
}

await main();
