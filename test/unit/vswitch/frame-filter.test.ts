/** Filter expressions against a slow, obvious evaluation of the same tests, and on a mirror. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as fc from 'fast-check';
import { LinkType, PacketView, decode } from '../../../src/packet/index.js';
import { DropReason } from '../../../src/pipeline/index.js';
import { FrameFilter, PcapMirror } from '../../../src/vswitch/index.js';
import { BROADCAST, Bench, MAC_A, MAC_B, MAC_C, arp, icmpv6, raw, tcp, udp } from './harness.js';

const FRAMES: Record<string, Uint8Array> = {
  tcp4: tcp(MAC_B, MAC_A, { src: '10.0.0.1', dst: '10.0.0.2', sport: 40000, dport: 443 }),
  udp4: udp(BROADCAST, MAC_B, { src: '192.0.2.9', dst: '10.0.0.255', sport: 68, dport: 67 }),
  udp6: udp(MAC_A, MAC_B, { src: 'fd00::1', dst: 'fd00:1::2', sport: 1000, dport: 53 }),
  tagged: tcp(MAC_C, MAC_A, { tags: [100, 7] }),
  arp: arp(MAC_A, MAC_A, '10.0.0.1'),
  nd: icmpv6('33:33:00:00:00:01', MAC_C, 135, []),
  lldp: raw('01:80:c2:00:00:0e', MAC_A, 0x88cc),
};

function view(frame: Uint8Array): PacketView {
  const v = new PacketView();
  decode(v, frame, 0, frame.length, LinkType.ETHERNET);
  return v;
}

/** Names of the frames that fit. */
function fits(expression: string, dropped = false, reason = 0): string {
  const filter = new FrameFilter(expression);
  return Object.entries(FRAMES)
    .filter(([, frame]) => filter.matches(view(frame), dropped, reason))
    .map(([name]) => name)
    .join(' ');
}

for (const [expression, expected] of [
  ['ip', 'tcp4 udp4 tagged'],
  ['ip6', 'udp6 nd'],
  ['arp', 'arp'],
  ['tcp', 'tcp4 tagged'],
  ['udp', 'udp4 udp6'],
  ['icmp6', 'nd'],
  ['icmp', ''],
  ['proto 58', 'nd'],
  ['ether proto 0x88cc', 'lldp'],
  ['broadcast', 'udp4 arp'],
  ['multicast and not broadcast', 'nd lldp'],
  ['host 10.0.0.1', 'tcp4 tagged arp'],
  ['src host 10.0.0.1 and dst host 10.0.0.2', 'tcp4 tagged'],
  ['dst host 10.0.0.1', ''],
  ['net 10.0.0.0/8', 'tcp4 udp4 tagged arp'],
  ['src net 192.0.2.0/24', 'udp4'],
  ['net fd00::/32', 'udp6'],
  ['dst net fd00:1::/32', 'udp6'],
  ['port 53', 'udp6'],
  ['tcp port 443', 'tcp4'],
  ['udp port 443', ''],
  ['dst port 50-70', 'udp4 udp6'],
  ['src port 67', ''],
  ['udp src port 68', 'udp4'],
  ['ether src 02:00:00:00:00:0a', 'tcp4 tagged arp lldp'],
  ['ether host 02:00:00:00:00:0c', 'tagged nd'],
  ['ether 02-00-00-00-00-0c', 'tagged nd'],
  ['vlan', 'tagged'],
  ['vlan 7 and vlan 100', 'tagged'],
  ['vlan 8', ''],
  ['not ip and not (ip6 or arp)', 'lldp'],
  ['! tcp && ( udp || arp )', 'udp4 udp6 arp'],
  ['not not arp', 'arp'],
  ['arp or tcp and vlan', 'tagged arp'],
  ['dropped', ''],
] as const) {
  test(`"${expression}"`, (t) => t.is(fits(expression), expected));
}

test('what became of the frame', (t) => {
  t.is(fits('dropped and arp', true, 1), 'arp');
  t.is(fits('reason ct_invalid and tcp', true, DropReason.ct_invalid), 'tcp4 tagged');
  t.is(fits('reason ct_invalid', true, DropReason.ct_limit), '');
  t.is(fits('reason ct_invalid', false, DropReason.ct_invalid), '');
});

for (const [expression, message] of [
  ['', /at the end: ip, ip6.* is expected/],
  ['tcp and', /at the end/],
  ['tcp udp', /column 5: "udp" where "and", "or" or the end is expected/],
  ['(tcp', /at the end: "\)" is expected/],
  ['host 10.0.0', /column 6/],
  ['host 10.0.0.0/8', /write net/],
  ['port 70000', /column 6: "70000" is no port/],
  ['port 90-80', /no port/],
  ['tcp host 1.2.3.4', /column 5/],
  ['ether 02:00', /column 7/],
  ['vlan 5000', /not a VLAN \(1 to 4094\)/],
  ['reason because', /no drop reason/],
  ['frob', /column 1: "frob" is unknown; expected: ip, ip6/],
  [Array.from({ length: 300 }, () => 'tcp').join(' or '), /more than 256 tests/],
  ['('.repeat(50), /too many parentheses/],
] as const) {
  test(`refused: "${expression.slice(0, 40)}"`, (t) => void t.throws(() => new FrameFilter(expression), { instanceOf: SyntaxError, message }));
}

test('any expression of and, or, not: as a naive evaluation says', (t) => {
  const leaves = ['tcp', 'udp', 'arp', 'ip', 'vlan', 'broadcast', 'port 53', 'net 10.0.0.0/8'];
  type Tree = { text: string; value: (frame: string) => boolean };
  const truth = new Map(leaves.map((leaf) => [leaf, new Set(fits(leaf).split(' '))]));
  const leaf = fc.constantFrom(...leaves).map((text): Tree => ({ text, value: (frame) => truth.get(text)!.has(frame) }));
  const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.tuple(tie('tree'), tie('tree')).map(([a, b]): Tree => ({ text: `(${a.text} and ${b.text})`, value: (f) => a.value(f) && b.value(f) })),
      fc.tuple(tie('tree'), tie('tree')).map(([a, b]): Tree => ({ text: `(${a.text} or ${b.text})`, value: (f) => a.value(f) || b.value(f) })),
      tie('tree').map((a): Tree => ({ text: `not ${a.text}`, value: (f) => !a.value(f) })),
    ),
  }));
  fc.assert(
    fc.property(tree, ({ text, value }) => {
      t.is(fits(text), Object.keys(FRAMES).filter(value).join(' '), text);
    }),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        FrameFilter.check(text);
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
      }
    }),
  );
  t.pass();
});

test('a mirror with a filter', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'db-filter-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const bench = new Bench([{ name: 'a' }, { name: 'b' }]);
  const mirror = new PcapMirror({ file: join(dir, 'm.pcap'), filter: 'tcp port 80 or reason port_source_multicast', direction: 'in' });
  bench.switch.observers.push(mirror);
  bench.forward(0, tcp(MAC_B, MAC_A));
  bench.forward(0, udp(MAC_B, MAC_A));
  bench.forward(0, udp(MAC_B, '03:00:00:00:00:01'));
  mirror.close();
  t.is(mirror.written, 2);
  t.true(existsSync(join(dir, 'm.pcap')) && readFileSync(join(dir, 'm.pcap')).length > 24);
  t.throws(() => new PcapMirror({ file: join(dir, 'x.pcap'), filter: 'nonsense' }), { instanceOf: SyntaxError });
  t.false(existsSync(join(dir, 'x.pcap')));
});
