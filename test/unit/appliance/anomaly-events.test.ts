/** Anomalies of decoder and stream as events, files as events: through a replayed capture. */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { replaySession, resolveReplay } from '../../../src/appliance/replay-session.js';
import { PcapWriter, finishIpv4, putEthernet, putIpv4, putTcp } from '../../../src/packet/index.js';
import { folder } from '../../helpers/drawbridge.js';

const SYN = 2;
const PSH_ACK = 24;

interface Segment {
  readonly toServer: boolean;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly payload?: string;
  /** Bytes cut off the end of the IP packet, its length corrected. */
  readonly cut?: number;
}

function frame({ toServer, seq, ack, flags, payload = '', cut = 0 }: Segment): Uint8Array {
  const buf = new Uint8Array(2048);
  const l3 = putEthernet(buf, 0, 0x0200, 2, 0x0200, 1, 0x0800);
  const [src, dst] = toServer ? [0x0a000001, 0x0a000002] : [0x0a000002, 0x0a000001];
  const l4 = putIpv4(buf, l3, src, dst, 6, 64);
  const data = putTcp(buf, l4, toServer ? 40_000 : 80, toServer ? 80 : 40_000, seq, ack, flags, 65_535);
  buf.set(Buffer.from(payload, 'latin1'), data);
  const end = data + payload.length - cut;
  finishIpv4(buf, l3, end);
  return buf.slice(0, end);
}

interface Event {
  readonly event_type: string;
  readonly src_port?: number;
  readonly anomaly?: { readonly type: string; readonly event: string };
  readonly fileinfo?: Record<string, unknown>;
}

function replayed(t: ExecutionContext, segments: readonly Segment[], types: readonly string[], rules = ''): Event[] {
  const dir = folder(t, { 'my.rules': rules });
  const pcap = join(dir, 'traffic.pcap');
  const writer = new PcapWriter(pcap);
  segments.forEach((segment, i) => {
    const bytes = frame(segment);
    writer.write(bytes, 0, bytes.length, bytes.length, 1_700_000_000, i * 1000);
  });
  writer.close();
  const events: Event[] = [];
  const sink = { write: (line: string) => void events.push(JSON.parse(line) as Event), flush: () => undefined, close: () => undefined };
  const session = replaySession(resolveReplay({ rules: rules === '' ? [] : [join(dir, 'my.rules')], simulateIps: false, set: [] }), { pcap, sink, types: new Set(types) });
  session.drain();
  session.close();
  return events;
}

const HANDSHAKE: readonly Segment[] = [
  { toServer: true, seq: 100, ack: 0, flags: SYN },
  { toServer: false, seq: 500, ack: 101, flags: SYN | 16 },
  { toServer: true, seq: 101, ack: 501, flags: 16 },
];

test('decoder and stream anomalies are told, once per packet, and only when asked for', (t) => {
  const odd: readonly Segment[] = [
    ...HANDSHAKE,
    { toServer: true, seq: 101, ack: 9_000_000, flags: PSH_ACK, payload: 'x' },
    { toServer: true, seq: 101, ack: 501, flags: PSH_ACK, cut: 8 },
  ];
  const told = replayed(t, odd, ['anomaly']).map(({ anomaly }) => `${anomaly!.type} ${anomaly!.event}`);
  t.deepEqual(told.filter((line) => line.startsWith('decode ')), ['decode tcp.pkt_too_small']);
  t.true(told.includes('stream est_invalid_ack') || told.includes('stream pkt_invalid_ack'), told.join());
  t.deepEqual(replayed(t, HANDSHAKE, ['anomaly']), [], 'an ordinary handshake is none');
  t.deepEqual(replayed(t, odd, ['alert']), []);
});

test('a transferred file is told with its sender first; its digest when a rule keeps it', (t) => {
  const request = 'GET /dir/report.txt HTTP/1.1\r\nHost: a\r\n\r\n';
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';
  const talk: readonly Segment[] = [
    ...HANDSHAKE,
    { toServer: true, seq: 101, ack: 501, flags: PSH_ACK, payload: request },
    { toServer: false, seq: 501, ack: 101 + request.length, flags: PSH_ACK, payload: answer },
    { toServer: true, seq: 101 + request.length, ack: 501 + answer.length, flags: 16 },
  ];
  const [file, ...more] = replayed(t, talk, ['fileinfo']);
  t.deepEqual(more, []);
  t.is(file!.src_port, 80);
  t.like(file!.fileinfo!, { filename: 'report.txt', state: 'CLOSED', size: 5, stored: false });
  t.is(file!.fileinfo!['sha256'], undefined);
  const [kept] = replayed(t, talk, ['fileinfo'], 'alert http any any -> any any (filename:"report"; filestore; sid:1;)');
  t.like(kept!.fileinfo!, { stored: true, sha256: '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824' });
});
