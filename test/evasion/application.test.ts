/** Attacks hidden in HTTP, DNS and datagrams. What must hold: the request that carries the attack does not arrive whole. */
import test from 'ava';
import { HTTP_EVASIONS, KNOWN_GAPS } from './http-catalogue.js';
import { Lab } from '../helpers/evasion-lab.js';
import { addresses, be16, concat, ethernet, fragmentHeader, ipv6, latin1 } from '../helpers/wire.js';

for (const { name, request } of HTTP_EVASIONS) {
  test(`HTTP: ${name}`, (t) => {
    for (const step of [10_000, 17, 1]) {
      const bytes = request();
      const lab = new Lab();
      lab.handshake();
      for (let at = 0; at < bytes.length; at += step) lab.send(at, bytes.subarray(at, at + step));
      t.true(lab.host.text.length < bytes.length, `step ${step}: all of it arrived ${JSON.stringify(lab.drops)}`);
      t.is(lab.errors, 0);
      lab.close();
      if (bytes.length > 3000) break;
    }
  });
}

for (const { name, request, step = 1400 } of KNOWN_GAPS) {
  test(`HTTP, not stopped: ${name}`, (t) => {
    const bytes = request();
    const lab = new Lab();
    lab.handshake();
    for (let at = 0; at < bytes.length; at += step) lab.send(at, bytes.subarray(at, at + step));
    t.is(lab.host.text.length, bytes.length, 'now stopped: move it to the list of those');
    lab.close();
  });
}

const LOOKALIKES: Record<string, string> = {
  'a request for something else': 'GET /etc/pesswd HTTP/1.1\r\nHost: a\r\n\r\n',
  'folded header': 'GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n',
  'LF only': 'GET / HTTP/1.1\nHost: a\n\n',
  'HTTP/0.9': 'GET /\r\n',
  'percent signs': 'GET /a%20b%2fc HTTP/1.1\r\nHost: a\r\n\r\n',
  'chunked, odd sizes': 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n003;x=y\r\nabc\r\n1\r\nd\r\n0\r\n\r\n',
  'pipelined': 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20),
  'dollar and brace': 'GET / HTTP/1.1\r\nHost: a\r\nX: ${jdni:x}\r\n\r\n',
};
for (const [name, request] of Object.entries(LOOKALIKES)) {
  test(`harmless HTTP arrives: ${name}`, (t) => {
    const lab = new Lab();
    lab.handshake();
    for (let at = 0; at < request.length; at += 13) lab.send(at, request.slice(at, at + 13));
    t.is(lab.host.text, request);
    lab.close();
  });
}

// ---- datagrams ------------------------------------------------------------------------------------------------------------

function dnsQuery(labels: readonly string[]): Uint8Array {
  return concat([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], labels.flatMap((l) => [l.length, ...latin1(l)]), [0], be16(1), be16(1));
}

const DATAGRAMS: Record<string, (lab: Lab) => void> = {
  'as it is': (l) => l.put(0, ethernet(0, l.packet(0, l.udp('xx EVIL-DATAGRAM-MARKER'), { proto: 17 }))),
  'behind padding of 1 KiB': (l) => l.put(0, ethernet(0, l.packet(0, l.udp(`${'x'.repeat(1024)}EVIL-DATAGRAM-MARKER`), { proto: 17 }))),
  'in fragments of 8 bytes': (l) => {
    const d = l.udp('xx EVIL-DATAGRAM-MARKER and some more');
    for (let at = 0; at < d.length; at += 8) l.fragment(d, at, Math.min(d.length, at + 8), 5, { proto: 17 });
  },
  'in fragments, last first': (l) => {
    const d = l.udp('xx EVIL-DATAGRAM-MARKER and some more');
    for (let at = (d.length - 1) & ~7; at >= 0; at -= 8) l.fragment(d, at, Math.min(d.length, at + 8), 5, { proto: 17 });
  },
  'to a group address of the link layer': (l) => l.put(0, ethernet(0, l.packet(0, l.udp('EVIL-DATAGRAM-MARKER'), { proto: 17 }), { dstMac: [255, 255, 255, 255, 255, 255] })),
  'DNS query': (l) => l.put(0, ethernet(0, l.packet(0, l.udp(dnsQuery(['www', 'evil', 'example']), 53), { proto: 17 }))),
  'DNS query in mixed case': (l) => l.put(0, ethernet(0, l.packet(0, l.udp(dnsQuery(['www', 'eViL', 'ExAmPlE']), 53), { proto: 17 }))),
};
for (const [name, send] of Object.entries(DATAGRAMS)) {
  const act = name === 'DNS query in mixed case' ? test.failing : test;
  act(`UDP: ${name}`, (t) => {
    const lab = new Lab();
    send(lab);
    t.deepEqual(lab.host.datagrams, []);
    lab.close();
  });
}

test('UDP over IPv6 fragments', (t) => {
  const lab = new Lab({ v6: true });
  const d = lab.udp('xx EVIL-DATAGRAM-MARKER and some more');
  for (let at = 0; at < d.length; at += 8) lab.put(0, ethernet(0, ipv6(addresses(0, true), 44, fragmentHeader(17, at, at + 8 < d.length, 3), d.subarray(at, at + 8))));
  t.deepEqual(lab.host.datagrams, []);
  lab.close();
});

test('harmless datagrams arrive, a wrong checksum does not', (t) => {
  const lab = new Lab();
  lab.put(0, ethernet(0, lab.packet(0, lab.udp('EVIL-DATAGRAM-MORKER'), { proto: 17 })));
  lab.put(0, ethernet(0, lab.packet(0, lab.udp(dnsQuery(['www', 'good', 'example']), 53), { proto: 17 })));
  lab.put(0, ethernet(0, lab.packet(0, lab.udp('broken', 5000, true), { proto: 17 })));
  t.is(lab.host.datagrams.length, 2);
  t.deepEqual(lab.drops, { decode_checksum: 1 });
  lab.close();
});
