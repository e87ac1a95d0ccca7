/**
 * Nanoseconds per frame in the switch alone: frames that are already in the batch, an output that takes everything, no
 * inspection. CPU time, so that a busy machine disturbs less. Usage: node dist/bench/switch.js [seconds per case]
 */
import { D_OFF, D_STRIDE, FrameBatch, buildArpFrame, finishIpv4, parseMac, putEthernet, putIpv4, putUdp, type PacketView } from '../src/packet/index.js';
import { Counters, Verdict } from '../src/pipeline/index.js';
import { Switch, type AddressTable, type FrameOutput, type Inspector, type SwitchPortConfig } from '../src/vswitch/index.js';

const seconds = Number(process.argv[2] ?? 1);
const BATCH = 64;

/** Counts the copies and takes them all. */
class Sink implements FrameOutput {
  copies = 0;
  flush(count: number): number {
    this.copies += count;
    return 0;
  }
}

class PassAll implements Inspector {
  inspect(_view: PacketView): number {
    return Verdict.PASS;
  }
  admit(_view: PacketView, _port: number): number {
    return Verdict.PASS;
  }
}

function mac(i: number): { hi: number; lo: number; text: string } {
  const text = `02:00:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`;
  return { ...parseMac(text), text };
}

/** Where SpoofGuard is on, the address the frames come from. */
function approve(table: AddressTable, port: number): void {
  const { hi, lo } = mac(port);
  table.approve(port, 1, false, 0x0a000001 + port, 0, 0, 0, hi, lo, 0);
}

function run(name: string, ports: SwitchPortConfig[], broadcast: boolean): void {
  const batch = new FrameBatch(BATCH);
  const counters = new Counters(ports.length);
  const sink = new Sink();
  const sw = new Switch(ports, batch, counters, new PassAll(), sink);
  for (let row = 0; row < BATCH; row++) {
    const from = row % ports.length;
    const src = mac(from);
    const dst = mac((from + 1) % ports.length);
    batch.inject(128, from, 0, 0);
    const off = batch.desc[row * D_STRIDE + D_OFF]!;
    if (broadcast) {
      buildArpFrame(batch.arena, off, 1, src.hi, src.lo, 0x0a000001 + from, 0, 0, 0x0a0000fe);
    } else {
      const l3 = putEthernet(batch.arena, off, dst.hi, dst.lo, src.hi, src.lo, 0x0800);
      const l4 = putIpv4(batch.arena, l3, 0x0a000001 + from, 0x0a000002 + from, 17, 64);
      putUdp(batch.arena, l4, 1000 + row, 53);
      finishIpv4(batch.arena, l3, off + 128);
    }
  }
  for (let p = 0; p < ports.length; p++) approve(sw.addresses, p);
  batch.rxCount = BATCH;
  let frames = 0;
  const loop = (ms: number): number => {
    frames = 0;
    sink.copies = 0;
    const start = process.cpuUsage();
    for (;;) {
      for (let i = 0; i < 64; i++) sw.processBatch(1);
      frames += 64 * BATCH;
      const { user, system } = process.cpuUsage(start);
      if (user + system >= ms * 1000) return (user + system) * 1000;
    }
  };
  loop(300);
  const before = process.memoryUsage().heapUsed;
  const ns = loop(seconds * 1000);
  const grown = process.memoryUsage().heapUsed - before;
  for (let p = 0; p < ports.length; p++) if (counters.unaccounted(p) !== 0) throw new Error(`port ${p}: frames unaccounted for`);
  console.log(
    `${name.padEnd(44)} ${(ns / frames).toFixed(1).padStart(7)} ns/frame  ${(ns / sink.copies).toFixed(1).padStart(7)} ns/copy  heap ${(grown / frames).toFixed(3)} B/frame`,
  );
}

const open = (n: number): SwitchPortConfig[] => Array.from({ length: n }, (_, i) => ({ name: `p${i}` }));
const guarded = (n: number): SwitchPortConfig[] =>
  Array.from({ length: n }, (_, i) => ({ name: `p${i}`, mac: mac(i).text, ips: ['10.0.0.0/24'], security: { rx: { broadcast: 1e9 } } }));

const spoofGuard = (n: number): SwitchPortConfig[] =>
  Array.from({ length: n }, (_, i) => ({ name: `p${i}`, mac: mac(i).text, security: { spoofGuard: { mode: 'approve' }, loopProtection: 'block' } }));

run('unicast, 2 ports, learning', open(2), false);
run('unicast, 16 ports, learning', open(16), false);
run('unicast, 16 ports, all port security', guarded(16), false);
run('unicast, 200 ports, all port security', guarded(200), false);
run('unicast, 16 ports, SpoofGuard and discovery', spoofGuard(16), false);
run('broadcast ARP, 16 ports', open(16), true);
run('broadcast ARP, 16 ports, all port security', guarded(16), true);
run('broadcast ARP, 16 ports, SpoofGuard and discovery', spoofGuard(16), true);
