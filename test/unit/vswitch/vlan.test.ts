import test from 'ava';
import fc from 'fast-check';
import { P_TX_FRAMES } from '../../../src/pipeline/index.js';
import type { SwitchPortConfig, VlanConfig } from '../../../src/vswitch/index.js';
import { BROADCAST, Bench, MAC_A, MAC_B, udp } from './harness.js';

const port = (name: string, vlan?: VlanConfig): SwitchPortConfig => (vlan === undefined ? { name } : { name, vlan });
const access = (id: number): VlanConfig => ({ mode: 'access', id });

test('access and trunk: who receives, and with which tag', (t) => {
  const bench = new Bench([
    port('a10', access(10)),
    port('b10', access(10)),
    port('c20', access(20)),
    port('trunk', { mode: 'trunk', allowed: [10, '20-29'] }),
    port('native10', { mode: 'trunk', allowed: [20], native: 10 }),
    port('tunnel10', { mode: 'tunnel', id: 10 }),
  ]);
  const plain = udp(BROADCAST, MAC_A);
  const tagged = (...tags: number[]) => udp(BROADCAST, MAC_A, { tags });
  const cases: { name: string; by: number; frame: Uint8Array; to: Record<number, Uint8Array> }[] = [
    { name: 'access untagged', by: 0, frame: plain, to: { 1: plain, 3: tagged(10), 4: plain, 5: plain } },
    { name: 'access with priority tag', by: 0, frame: tagged(0x6000), to: { 1: plain, 3: tagged(0x600a), 4: plain, 5: plain } },
    { name: 'other VLAN', by: 2, frame: plain, to: { 3: tagged(20), 4: tagged(20) } },
    { name: 'trunk tagged', by: 3, frame: tagged(10), to: { 0: plain, 1: plain, 4: plain, 5: plain } },
    { name: 'trunk with priority', by: 3, frame: tagged(0xa014), to: { 2: plain, 4: tagged(0xa014) } },
    { name: 'trunk native untagged', by: 4, frame: plain, to: { 0: plain, 1: plain, 3: tagged(10), 5: plain } },
    { name: 'trunk native tagged', by: 4, frame: tagged(10), to: { 0: plain, 1: plain, 3: tagged(10), 5: plain } },
    { name: 'QinQ: the inner tag passes', by: 3, frame: tagged(10, 99), to: { 0: tagged(99), 1: tagged(99), 4: tagged(99), 5: tagged(99) } },
    { name: 'tunnel untagged', by: 5, frame: plain, to: { 0: plain, 1: plain, 3: tagged(10), 4: plain } },
    { name: 'tunnel tagged', by: 5, frame: tagged(20), to: { 0: tagged(20), 1: tagged(20), 3: tagged(10, 20), 4: tagged(20) } },
  ];
  for (const { name, by, frame, to } of cases) {
    bench.ports[by]!.put(frame);
    bench.run();
    const got: Record<number, Uint8Array> = {};
    for (const [i, p] of bench.ports.entries()) for (const f of p.take()) got[i] = f;
    t.deepEqual(got, to, name);
  }
  t.is(bench.account().unaccounted, 0);
});

test('an 802.1ad outer tag is a tag like any other', (t) => {
  const bench = new Bench([port('a', access(10)), port('trunk', { mode: 'trunk' })]);
  bench.ports[1]!.put(udp(BROADCAST, MAC_A, { tags: [10, 7], tpid: 0x88a8 }));
  bench.run();
  t.deepEqual(bench.ports[0]!.take(), [udp(BROADCAST, MAC_A, { tags: [7] })]);
});

test('what a port does not take', (t) => {
  const bench = new Bench([port('a', access(10)), port('b', access(10)), port('trunk', { mode: 'trunk', allowed: [10, 11] })]);
  t.is(bench.fate(0, udp(BROADCAST, MAC_A, { tags: [10] })), 'switch_vlan', 'access ports take no tags, not even their own');
  t.is(bench.fate(0, udp(BROADCAST, MAC_A, { tags: [11] })), 'switch_vlan');
  t.is(bench.fate(2, udp(BROADCAST, MAC_A)), 'switch_vlan', 'no native VLAN');
  t.is(bench.fate(2, udp(BROADCAST, MAC_A, { tags: [0] })), 'switch_vlan');
  t.is(bench.fate(2, udp(BROADCAST, MAC_A, { tags: [12] })), 'switch_vlan');
  t.is(bench.fate(2, udp(BROADCAST, MAC_A, { tags: [4095] })), 'switch_vlan');
  t.is(bench.fate(0, udp(BROADCAST, MAC_A, { tags: [11] }).slice(0, 16)), 'decode_malformed');
  t.is(bench.fate(2, udp(BROADCAST, MAC_A, { tags: [11] })), 'switch_no_port');
});

test('addresses are learnt per VLAN', (t) => {
  const bench = new Bench([port('a10', access(10)), port('a20', access(20)), port('trunk', { mode: 'trunk' }), port('b20', access(20))]);
  bench.forward(0, udp(BROADCAST, MAC_A));
  t.deepEqual(bench.forward(3, udp(MAC_A, MAC_B)), [1, 2], 'known in VLAN 10 only');
  bench.forward(1, udp(BROADCAST, MAC_A));
  t.deepEqual(bench.forward(3, udp(MAC_A, MAC_B)), [1]);
  t.deepEqual(bench.forward(2, udp(MAC_A, '02:00:00:00:00:99', { tags: [10] })), [0]);
});

test('settings that make no sense are refused with the accepted values', (t) => {
  const bad: [VlanConfig, RegExp][] = [
    [access(0), /1 to 4094, not 0/],
    [access(4095), /1 to 4094/],
    [access(1.5), /1 to 4094/],
    [{ mode: 'trunk', native: 5000 }, /1 to 4094/],
    [{ mode: 'trunk', allowed: ['20-10'] }, /ends before it starts/],
    [{ mode: 'trunk', allowed: ['x'] }, /neither a number nor a range/],
  ];
  for (const [vlan, message] of bad) t.throws(() => new Bench([port('p', vlan)]), { instanceOf: RangeError, message });
});

test('a frame never crosses into another VLAN', (t) => {
  const configs = [
    port('p0', access(1)),
    port('p1', access(2)),
    port('p2', { mode: 'trunk', allowed: ['1-2'] }),
    port('p3', { mode: 'trunk', allowed: [2, 3], native: 3 }),
    port('p4', { mode: 'tunnel', id: 2 }),
    port('p5', access(3)),
  ];
  const members = [[1], [2], [1, 2], [2, 3], [2], [3]];
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(5), fc.constantFrom(-1, 0, 1, 2, 3, 4), fc.constantFrom(BROADCAST, MAC_A, MAC_B), fc.constantFrom(MAC_A, MAC_B)), { maxLength: 30 }),
      (frames) => {
        const bench = new Bench(configs);
        for (const [by, tag, dst, src] of frames) {
          const out = bench.forward(by, udp(dst, src, { tags: tag < 0 ? [] : [tag] }));
          // The VLAN the frame belongs to, from the definition of the modes.
          const mode = configs[by]!.vlan!.mode;
          const pvid = by === 2 ? 0 : by === 3 ? 3 : members[by]![0]!;
          const vlan = mode === 'tunnel' ? pvid : tag <= 0 ? pvid : mode === 'trunk' ? tag : 0;
          for (const to of out) t.true(members[to]!.includes(vlan) && to !== by);
          if (vlan === 0 || !members[by]!.includes(vlan)) t.deepEqual(out, []);
        }
        t.is(bench.account().unaccounted, 0);
        t.true(bench.counters.port(0, P_TX_FRAMES) <= frames.length);
      },
    ),
    { numRuns: 60 },
  );
});
