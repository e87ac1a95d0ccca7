import test from 'ava';
import { CtState, P_COPY_DROPS, P_TX_FRAMES, Verdict, DropReason } from '../../../src/pipeline/index.js';
import { LinkType, T_STATUS, T_STRIDE, type PacketView } from '../../../src/packet/index.js';
import { ALLOW_ALL, EGRESS_MANY, type Inspector } from '../../../src/vswitch/index.js';
import { BROADCAST, Bench, MAC_A, MAC_B, MAC_C, MULTICAST, raw, udp } from './harness.js';

const three = [{ name: 'a' }, { name: 'b' }, { name: 'c' }];

test('unknown unicast floods, known unicast does not', (t) => {
  const bench = new Bench(three);
  t.deepEqual(bench.forward(0, udp(MAC_B, MAC_A)), [1, 2]);
  t.deepEqual(bench.forward(1, udp(MAC_A, MAC_B)), [0]);
  t.deepEqual(bench.forward(0, udp(MAC_B, MAC_A)), [1]);
  t.deepEqual(bench.forward(0, udp(BROADCAST, MAC_A)), [1, 2]);
  t.deepEqual(bench.forward(0, udp(MULTICAST, MAC_A)), [1, 2]);
  t.deepEqual(bench.account(), { received: 5, unaccounted: 0 });
});

test('frames arrive byte for byte', (t) => {
  const bench = new Bench(three);
  const frame = udp(BROADCAST, MAC_A, { payload: 700 });
  bench.ports[0]!.put(frame);
  bench.run();
  t.deepEqual(bench.ports[1]!.take(), [frame]);
  t.deepEqual(bench.ports[2]!.take(), [frame]);
});

test('an entry ages out and a moved station is followed', (t) => {
  const bench = new Bench(three, undefined, { macTable: { ageSec: 20 } });
  bench.forward(1, udp(BROADCAST, MAC_B), 100);
  t.deepEqual(bench.forward(0, udp(MAC_B, MAC_A), 120), [1]);
  t.deepEqual(bench.forward(0, udp(MAC_B, MAC_A), 121), [1, 2]);
  bench.forward(1, udp(BROADCAST, MAC_B), 122);
  bench.forward(2, udp(BROADCAST, MAC_B), 123);
  t.deepEqual(bench.forward(0, udp(MAC_B, MAC_A), 124), [2]);
  t.is(bench.switch.macs.moved, 1);
});

test('configured MACs are static: never flooded for, never stolen', (t) => {
  const bench = new Bench([{ name: 'a', mac: MAC_A }, { name: 'b', mac: MAC_B }, { name: 'up', role: 'uplink' }]);
  t.deepEqual(bench.forward(0, udp(MAC_B, MAC_A)), [1]);
  bench.forward(2, udp(BROADCAST, MAC_B));
  t.deepEqual(bench.forward(0, udp(MAC_B, MAC_A)), [1]);
  t.is(bench.switch.macs.staticConflicts, 1);
});

test('unknown unicast is not shown to ports with a configured MAC', (t) => {
  const bench = new Bench([{ name: 'a', mac: MAC_A }, { name: 'b', mac: MAC_B }, { name: 'up', role: 'uplink' }]);
  t.deepEqual(bench.forward(0, udp(MAC_C, MAC_A)), [2]);
  const closed = new Bench([{ name: 'a', mac: MAC_A }, { name: 'b', mac: MAC_B }]);
  t.is(closed.fate(0, udp(MAC_C, MAC_A)), 'port_promiscuous');
});

test('hairpin, no port, reserved addresses, short frames', (t) => {
  const bench = new Bench(three);
  bench.forward(0, udp(BROADCAST, MAC_A));
  t.is(bench.fate(0, udp(MAC_A, MAC_C)), 'switch_hairpin');
  t.is(new Bench([{ name: 'alone' }]).fate(0, udp(MAC_B, MAC_A)), 'switch_no_port');
  t.is(new Bench([{ name: 'a', role: 'uplink' }, { name: 'b' }]).fate(0, raw('01:80:c2:00:00:00', MAC_A, 0x0027)), 'switch_reserved');
  t.is(bench.fate(0, udp(MAC_B, MAC_A).slice(0, 13)), 'port_frame_too_short');
  t.is(bench.fate(0, new Uint8Array(0)), 'port_frame_too_short');
  t.is(bench.fate(0, udp(MAC_B, '03:00:00:00:00:01')), 'port_source_multicast');
  t.is(bench.fate(0, { bytes: udp(MAC_B, MAC_A), linkType: LinkType.RAW }), 'switch_no_port');
  t.is(bench.account().unaccounted, 0);
});

test('reserved addresses pass when the switch is told to be transparent', (t) => {
  const bench = new Bench([{ name: 'a', role: 'uplink' }, { name: 'b', role: 'uplink' }, { name: 'vm' }], undefined, { forwardReserved: true });
  t.deepEqual(bench.forward(0, raw('01:80:c2:00:00:00', MAC_A, 0x0027)), [1]);
});

test('isolated ports reach everybody but each other', (t) => {
  const bench = new Bench([{ name: 'a', isolated: true }, { name: 'b', isolated: true }, { name: 'up' }]);
  t.deepEqual(bench.forward(0, udp(BROADCAST, MAC_A)), [2]);
  t.deepEqual(bench.forward(1, udp(BROADCAST, MAC_B)), [2]);
  t.is(bench.fate(0, udp(MAC_B, MAC_A)), 'switch_isolated');
  t.deepEqual(bench.forward(2, udp(MAC_A, MAC_C)), [0]);
  t.deepEqual(bench.forward(0, udp(MAC_C, MAC_A)), [2]);
});

test('port states: quarantined and down ports neither send nor receive', (t) => {
  const bench = new Bench([{ name: 'a', mac: MAC_A }, { name: 'b', mac: MAC_B }, { name: 'c', mac: MAC_C, state: 'down' }]);
  t.is(bench.fate(2, udp(MAC_A, MAC_C)), 'switch_quarantine');
  t.is(bench.fate(0, udp(MAC_C, MAC_A)), 'switch_no_port');
  bench.switch.setPortState(1, 'quarantine');
  t.is(bench.fate(0, udp(MAC_B, MAC_A)), 'switch_quarantine');
  t.is(bench.fate(0, udp(BROADCAST, MAC_A)), 'switch_no_port');
  t.is(bench.fate(1, udp(MAC_A, MAC_B)), 'switch_quarantine');
  bench.switch.setPortState(1, 'up');
  t.is(bench.fate(0, udp(MAC_B, MAC_A)), 'forwarded');
  t.throws(() => bench.switch.setPortState(9, 'up'), { instanceOf: RangeError });
});

test('a frame of a port that was removed is refused and counted', (t) => {
  const bench = new Bench(three);
  bench.switch.configure([{ name: 'a' }, undefined, { name: 'c' }]);
  t.is(bench.fate(1, udp(MAC_A, MAC_B)), 'switch_quarantine');
  t.deepEqual(bench.forward(0, udp(BROADCAST, MAC_A)), [2]);
});

test('reconfiguration keeps what was learned on unchanged ports', (t) => {
  const bench = new Bench(three);
  bench.forward(1, udp(BROADCAST, MAC_B));
  bench.forward(2, udp(BROADCAST, MAC_C));
  bench.switch.configure([{ name: 'a' }, { name: 'b' }, { name: 'other' }]);
  t.deepEqual(bench.forward(0, udp(MAC_B, MAC_A)), [1]);
  t.deepEqual(bench.forward(0, udp(MAC_C, MAC_A)), [1, 2]);
  t.throws(() => bench.switch.configure([{ name: 'x' }, { name: 'x' }]), { message: /configured twice/ });
  t.throws(() => bench.switch.configure([{ name: 'x', forwardTo: 'y' }]), { message: /forwardTo/ });
  t.throws(() => bench.switch.configure(Array.from({ length: 99 })), { instanceOf: RangeError });
  t.deepEqual(bench.forward(0, udp(MAC_B, MAC_A)), [1], 'the old set stays in force');
});

test('run-time state survives a reconfiguration', (t) => {
  const configs = [{ name: 'a', mac: MAC_A }, { name: 'b', mac: MAC_B }, { name: 'c' }];
  const bench = new Bench(configs);
  bench.switch.setPortState(1, 'quarantine');
  bench.switch.setEffectiveMac(0, MAC_C);
  bench.switch.configure(configs);
  t.is(bench.fate(1, udp(MAC_A, MAC_B)), 'switch_quarantine');
  t.is(bench.fate(2, udp(MAC_A, '02:00:00:00:00:77')), 'port_mac_change');
  bench.switch.configure([configs[0]!, { ...configs[1]!, state: 'down' }, configs[2]!]);
  bench.switch.configure(configs);
  t.is(bench.fate(1, udp('02:00:00:00:00:77', MAC_B)), 'forwarded', 'a state named by the configuration wins');
});

test('static entries that do not fit are refused before anything changes', (t) => {
  const many = Array.from({ length: 12 }, (_, i) => `02:00:00:00:01:${(i + 16).toString(16)}`);
  const bench = new Bench(three, undefined, { macTable: { size: 10 } });
  t.throws(() => bench.switch.configure([{ name: 'a', mac: MAC_A, allowedMacs: many }]), { instanceOf: RangeError, message: /need 13 static MAC entries, the MAC table holds 10/ });
  t.deepEqual(bench.forward(0, udp(BROADCAST, MAC_A)), [1, 2]);
});

test('virtual wire and passive ports', (t) => {
  const wire = new Bench([{ name: 'in', forwardTo: 'out', role: 'uplink' }, { name: 'out', forwardTo: 'in', role: 'uplink' }, { name: 'vm' }]);
  t.deepEqual(wire.forward(0, udp(MAC_A, MAC_B)), [1]);
  t.deepEqual(wire.forward(0, udp(MAC_A, MAC_B, { tags: [77] })), [1]);
  t.deepEqual(wire.forward(1, udp(BROADCAST, MAC_A)), [0]);
  t.deepEqual(wire.forward(0, { bytes: new Uint8Array([0x45, 0, 0]), linkType: LinkType.RAW }), [1]);
  t.is(wire.fate(2, udp(BROADCAST, MAC_A)), 'switch_no_port');

  const seen: number[] = [];
  const passive = new Bench([{ name: 'mirror', passive: true }, { name: 'vm' }], {
    inspect: (view) => {
      seen.push(view.egress);
      view.reason = DropReason.ips_rule;
      return seen.length === 1 ? Verdict.PASS : Verdict.DROP;
    },
    admit: () => Verdict.PASS,
  });
  t.is(passive.fate(0, udp(MAC_B, MAC_A)), 'consumed');
  t.is(passive.fate(0, udp(MAC_B, MAC_A)), 'ips_rule');
  t.deepEqual(seen, [EGRESS_MANY, EGRESS_MANY]);
  t.deepEqual(passive.ports[1]!.take(), []);
});

/** Records what it was asked. */
class Recorder implements Inspector {
  readonly asked: string[] = [];
  verdict: number = Verdict.PASS;
  refuse = -1;
  inspect(view: PacketView): number {
    this.asked.push(`inspect ${view.ingress}>${view.egress}`);
    view.ctState = CtState.NEW;
    view.reason = DropReason.firewall_deny;
    return this.verdict;
  }
  admit(view: PacketView, egressPort: number): number {
    this.asked.push(`admit ${view.ingress}>${egressPort}`);
    view.reason = DropReason.firewall_out_of_allowed;
    return egressPort === this.refuse ? Verdict.DROP : Verdict.NONE;
  }
}

test('both ends are judged for unicast, every destination for floods', (t) => {
  const recorder = new Recorder();
  const bench = new Bench(three, recorder);
  bench.forward(0, udp(BROADCAST, MAC_A));
  bench.forward(1, udp(MAC_A, MAC_B));
  t.deepEqual(recorder.asked, ['inspect 0>-1', 'admit 0>1', 'admit 0>2', 'inspect 1>0']);
  const pair = new Recorder();
  new Bench([{ name: 'a' }, { name: 'b' }], pair).forward(0, udp(MAC_B, MAC_A));
  t.deepEqual(pair.asked, ['inspect 0>1'], 'one candidate is as good as a known destination');
});

test('every verdict is acted upon', (t) => {
  const recorder = new Recorder();
  const bench = new Bench(three, recorder);
  for (const verdict of [Verdict.NONE, Verdict.PASS, Verdict.BYPASS]) {
    recorder.verdict = verdict;
    t.is(bench.fate(0, udp(BROADCAST, MAC_A)), 'forwarded');
  }
  for (const verdict of [Verdict.DROP, Verdict.REJECT, Verdict.DROP_FLOW, Verdict.REJECT_FLOW]) {
    recorder.verdict = verdict;
    t.is(bench.fate(0, udp(BROADCAST, MAC_A)), 'firewall_deny');
  }
});

test('a refused copy is a copy drop; all copies refused is a drop', (t) => {
  const recorder = new Recorder();
  recorder.refuse = 1;
  const bench = new Bench(three, recorder);
  t.deepEqual(bench.forward(0, udp(BROADCAST, MAC_A)), [2]);
  t.is(bench.counters.port(0, P_COPY_DROPS), 1);
  const two = new Bench([{ name: 'a' }, { name: 'b' }], recorder);
  t.is(two.fate(0, udp(BROADCAST, MAC_A)), 'firewall_out_of_allowed');
  t.is(two.counters.port(0, P_COPY_DROPS), 0);
});

test('a drop without a reason is laid to the engine', (t) => {
  const bench = new Bench(three, { inspect: () => Verdict.DROP, admit: () => Verdict.PASS });
  t.is(bench.fate(0, udp(BROADCAST, MAC_A)), 'engine_error');
});

test('frames the switch refuses are reported once, with their reason', (t) => {
  const reasons: number[] = [];
  const bench = new Bench([{ name: 'a', mac: MAC_A }, { name: 'b', mac: MAC_B }], undefined, { onRefused: (view) => reasons.push(view.reason) });
  bench.forward(0, udp(MAC_B, MAC_C));
  bench.forward(0, udp(MAC_C, MAC_A));
  bench.forward(0, udp(MAC_B, MAC_A));
  t.deepEqual(reasons, [DropReason.port_forged_transmit, DropReason.port_promiscuous]);
});

test('output failures: a frame that left nowhere is dropped, one that left somewhere is not', (t) => {
  let status = [90, 90];
  const bench = new Bench(three, ALLOW_ALL, {}, 64, (batch) => ({
    flush(count) {
      for (let i = 0; i < count; i++) batch.tx[i * T_STRIDE + T_STATUS] = status[i]!;
      return count;
    },
  }));
  const frame = udp(BROADCAST, MAC_A, { payload: 200 });
  t.is(bench.fate(0, frame), 'output_too_big');
  status = [5, 5];
  t.is(bench.fate(0, frame), 'output_error');
  status = [5, 0];
  t.is(bench.fate(0, frame), 'forwarded');
  t.is(bench.counters.port(0, P_COPY_DROPS), 1);
  t.is(bench.counters.port(2, P_TX_FRAMES), 1);
  t.is(bench.account().unaccounted, 0);
});

test('a full transmit table is flushed early', (t) => {
  const configs = Array.from({ length: 100 }, (_, i) => ({ name: `p${i}` }));
  const bench = new Bench(configs);
  for (let i = 0; i < 64; i++) bench.ports[0]!.put(udp(BROADCAST, MAC_A));
  bench.run();
  for (let p = 1; p < 100; p++) t.is(bench.ports[p]!.take().length, 64);
  t.deepEqual(bench.account(), { received: 64, unaccounted: 0 });
  t.is(bench.counters.port(99, P_TX_FRAMES), 64);
});

test('switching allocates nothing per frame', (t) => {
  const bench = new Bench([{ name: 'a', mac: MAC_A, ips: ['10.0.0.1'] }, { name: 'b', mac: MAC_B }, { name: 'c' }], ALLOW_ALL, {}, 64, () => ({ flush: () => 0 }));
  for (let i = 0; i < 64; i++) bench.ports[0]!.put(i % 2 === 0 ? udp(MAC_B, MAC_A) : udp(BROADCAST, MAC_A));
  bench.set.poll(0);
  const run = (batches: number): void => {
    for (let i = 0; i < batches; i++) bench.switch.processBatch(1);
  };
  run(1000);
  const before = process.memoryUsage().heapUsed;
  run(2000);
  // 128 000 frames: one small object per frame would be 2 MB.
  t.true(process.memoryUsage().heapUsed - before < 500_000);
  t.is(bench.account().received, 3000 * 64);
});
