import test from 'ava';
import fc from 'fast-check';
import { P_TX_FRAMES, Verdict } from '../../../src/pipeline/index.js';
import type { Inspector, SwitchPortConfig } from '../../../src/vswitch/index.js';
import { BROADCAST, Bench, MAC_A, MAC_B, MAC_C, MULTICAST, arp, icmpv6, tcp, udp } from './harness.js';

const configs: (SwitchPortConfig | undefined)[] = [
  { name: 'guarded', mac: MAC_A, ips: ['10.0.0.1', 'fd00::1'], security: { nonIpBlock: true, rx: { broadcast: 5 } } },
  { name: 'free', mac: MAC_B, security: { forgedTransmits: 'accept', promiscuous: 'accept', bpduFilter: false } },
  { name: 'isolated', isolated: true, security: { tx: { multicast: 3 } } },
  { name: 'isolated too', isolated: true },
  { name: 'trunk', role: 'uplink', vlan: { mode: 'trunk', native: 1 } },
  { name: 'tunnel', vlan: { mode: 'tunnel', id: 7 } },
  { name: 'passive', passive: true },
  { name: 'wire a', forwardTo: 'wire b', role: 'uplink' },
  { name: 'wire b', forwardTo: 'wire a', role: 'uplink' },
  { name: 'down', state: 'down' },
  undefined,
];

const seeds = [
  udp(BROADCAST, MAC_A),
  udp(MAC_B, MAC_A),
  udp(MAC_A, MAC_B),
  udp(MAC_C, MAC_B, { tags: [7] }),
  udp(BROADCAST, MAC_C, { tags: [0] }),
  udp(MULTICAST, MAC_C, { tags: [7, 8] }),
  tcp(MAC_A, MAC_C),
  tcp(MAC_A, MAC_C, { src: 'fd00::3' }),
  arp(MAC_A, MAC_A, '10.0.0.1'),
  icmpv6('33:33:00:00:00:01', MAC_A, 136, Array.from({ length: 28 }, (_, i) => i)),
  udp('01:80:c2:00:00:0e', MAC_C),
];

/** Mostly frames that get somewhere, with a few bytes changed and some cut short; and noise. */
const frame = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...seeds) },
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }), fc.nat(100)).map(([bytes, edits, cut]) => {
      const copy = bytes.slice(0, cut < 30 ? (bytes.length * cut) / 30 : bytes.length);
      for (const [at, value] of edits) if (at < copy.length) copy[at] = value;
      return copy;
    }),
  },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 120 }) },
);
const offload = fc.record({ gsoType: fc.constantFrom(0, 0, 0, 1, 3, 4, 5, 77), gsoSize: fc.nat(100), vnetFlags: fc.nat(3), csumStart: fc.nat(60), csumOff: fc.nat(20) });
const arrival = fc.record({ port: fc.nat(configs.length - 2), bytes: frame, offload, linkType: fc.constantFrom(1, 1, 1, 1, 101) });

/** A fixed but varied opinion on everything. */
class Moody implements Inspector {
  private turn = 0;
  constructor(
    private readonly verdicts: readonly number[],
    private readonly reasons: readonly number[],
  ) {}
  inspect(view: { reason: number; modified: boolean }): number {
    view.reason = this.reasons[this.turn % this.reasons.length]!;
    view.modified = this.turn % 3 === 0;
    return this.verdicts[this.turn++ % this.verdicts.length]!;
  }
  admit(view: { reason: number }): number {
    view.reason = this.reasons[this.turn % this.reasons.length]!;
    return this.verdicts[this.turn++ % this.verdicts.length]!;
  }
}

test('received = forwarded + consumed + drops by reason, for any bytes on any ports', (t) => {
  fc.assert(
    fc.property(
      fc.array(arrival, { minLength: 1, maxLength: 60 }),
      fc.array(fc.constantFrom(...Object.values(Verdict)), { minLength: 1, maxLength: 7 }),
      fc.array(fc.nat(40), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 16 }),
      (arrivals, verdicts, reasons, batchSize) => {
        const bench = new Bench(configs, new Moody(verdicts, reasons), { macTable: { size: 10 } }, batchSize);
        for (const { port, bytes, offload: o, linkType } of arrivals) bench.ports[port]!.put({ bytes, linkType, ...o });
        let now = 1;
        while (bench.set.poll(0) > 0) bench.switch.processBatch(now++);
        t.deepEqual(bench.account(), { received: arrivals.length, unaccounted: 0 });
        const sent = bench.ports.reduce((n, p) => n + p.sent.length, 0);
        let counted = 0;
        for (let p = 0; p < configs.length; p++) counted += bench.counters.port(p, P_TX_FRAMES);
        t.true(counted <= sent, 'every counted frame left (super-frames leave as several)');
        t.true(bench.switch.macs.count <= 10);
        t.deepEqual(bench.ports[6]!.sent, [], 'a passive port receives nothing');
        t.deepEqual(bench.ports[9]!.sent, [], 'nor does one that is down');
      },
    ),
    { numRuns: 120 },
  );
});
