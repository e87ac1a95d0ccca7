/** Captures made here, through the whole pipeline: tunnels in tunnels, fragments inside them, flows without a beginning. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { replaySession, resolveReplay } from '../../../src/appliance/replay-session.js';

const u16 = (n: number): number[] => [(n >>> 8) & 0xff, n & 0xff];
const u32 = (n: number): number[] => [...u16(n >>> 16), ...u16(n)];

function ip4(proto: number, body: readonly number[], source: number, fragment = 0): number[] {
  return [0x45, 0, ...u16(20 + body.length), 0, 9, ...u16(fragment), 64, proto, 0, 0, 10, 0, 0, source, 10, 0, 0, 99, ...body];
}

function tcp(seq: number, flags: number, data = ''): number[] {
  return [...u16(4000), ...u16(80), ...u32(seq), ...u32(1), 0x50, flags, ...u16(512), 0, 0, 0, 0, ...Buffer.from(data)];
}

const gre = (inner: readonly number[]): number[] => [0, 0, 8, 0, ...inner];

interface Seen {
  readonly alerts: string[];
  readonly drops: number;
}

/** Replay raw IPv4 packets; alerts as "sid source". */
function replay(t: ExecutionContext, packets: readonly (readonly number[])[], rules: string, simulateIps = false, set: readonly (readonly [string, string])[] = []): Seen {
  const dir = mkdtempSync(join(tmpdir(), 'drawbridge-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(65_535, 16);
  head.writeUInt32LE(101, 20);
  const records = packets.map((bytes, i) => {
    const record = Buffer.alloc(16 + bytes.length);
    [1000 + i, 0, bytes.length, bytes.length].forEach((word, at) => record.writeUInt32LE(word, at * 4));
    record.set(bytes, 16);
    return record;
  });
  const pcap = join(dir, 'in.pcap');
  const ruleFile = join(dir, 'test.rules');
  writeFileSync(pcap, Buffer.concat([head, ...records]));
  writeFileSync(ruleFile, rules);
  const lines: string[] = [];
  const setup = resolveReplay({ rules: [ruleFile], simulateIps, set });
  t.deepEqual(setup.badSettings, []);
  const session = replaySession(setup, { pcap, sink: { write: (line) => void lines.push(line), flush: () => undefined, close: () => undefined }, types: new Set(['alert', 'drop']) });
  session.drain();
  session.close();
  const events = lines.map((line) => JSON.parse(line) as { event_type: string; src_ip?: string; alert?: { signature_id: number } });
  return {
    alerts: events.filter((e) => e.event_type === 'alert').map((e) => `${e.alert!.signature_id} ${e.src_ip}`),
    drops: events.filter((e) => e.event_type === 'drop').length,
  };
}

const UDP = [...u16(5), ...u16(6), ...u16(8 + 24), 0, 0, ...Buffer.from('0123456789abcdefattack!!')];

test('a datagram in fragments inside two tunnels is put together and judged', (t) => {
  const first = ip4(17, UDP.slice(0, 16), 3, 0x2000);
  const last = ip4(17, UDP.slice(16), 3, 2);
  const wrap = (inner: number[]): number[] => ip4(47, gre(ip4(47, gre(inner), 2)), 1);
  const rules = 'drop udp any any -> any 6 (content:"789abcdefattack"; sid:1;)';
  t.deepEqual(replay(t, [wrap(first), wrap(last)], rules), { alerts: ['1 10.0.0.3'], drops: 0 });
  t.deepEqual(replay(t, [wrap(first), wrap(last)], rules, true), { alerts: ['1 10.0.0.3'], drops: 1 });
});

test('overlapping fragments raise their event, and the addresses of a bad header are not believed', (t) => {
  const rules = 'alert ip any any -> any any (decode-event:ipv4.frag_overlap; sid:1;)\nalert pkthdr any any -> any any (decode-event:ipv4.opt_invalid_len; sid:2;)';
  const bad = [0x46, 0, ...u16(24), 0, 9, 0, 0, 64, 17, 0, 0, 10, 0, 0, 7, 10, 0, 0, 9, 7, 40, 0, 0];
  const { alerts } = replay(t, [ip4(17, UDP.slice(0, 16), 3, 0x2000), ip4(17, UDP.slice(8, 24), 3, 0x2001), bad], rules);
  t.deepEqual(alerts, ['1 10.0.0.3', '2 undefined']);
});

test('policies for connections without a beginning', (t) => {
  const packets = [ip4(6, tcp(1, 0x18, 'attack'), 3), ip4(6, tcp(7, 0x18, 'attack'), 3)];
  const rules = 'alert tcp any any -> any any (content:"attack"; sid:1;)';
  const alerts = (policy: string, ips: boolean): Seen => replay(t, packets, rules, ips, [['stream.midstream-policy', policy]]);
  t.deepEqual(alerts('ignore', true), { alerts: ['1 10.0.0.3', '1 10.0.0.3'], drops: 0 });
  t.deepEqual(alerts('drop-flow', true), { alerts: [], drops: 2 });
  t.deepEqual(alerts('drop-packet', true), { alerts: [], drops: 2 });
  t.deepEqual(alerts('drop-flow', false), { alerts: ['1 10.0.0.3', '1 10.0.0.3'], drops: 0 }, 'a passive engine drops nothing');
  t.deepEqual(alerts('pass-flow', false), { alerts: [], drops: 0 });
  t.deepEqual(alerts('pass-packet', false), { alerts: [], drops: 0 });
});

test('data on a SYN counts for the packet until the answer takes it', (t) => {
  const rules = 'alert tcp any any -> any any (content:"attack"; sid:1;)\nalert tcp-stream any any -> any any (content:"attack"; sid:2;)';
  const { alerts } = replay(t, [ip4(6, tcp(1, 0x02, 'attack'), 3)], rules, true);
  t.deepEqual(alerts, ['1 10.0.0.3', '2 10.0.0.3'], 'no stream took it');
});
