/** `drawbridge trace`: described packets, and what the stages say about them. */
import { join } from 'node:path';
import test from 'ava';
import { buildPacket, parsePacket } from '../../../src/appliance/described-packet.js';
import { LinkType, PacketView, decode, ipv4ChecksumOk } from '../../../src/packet/index.js';
import { trace } from '../../../src/appliance/commands/trace.js';
import { folder } from '../../helpers/drawbridge.js';

const CONFIG = `
vms: { web: { firewall: guarded }, client: {} }
ports:
  - { name: web0, type: tap, device: web0, vm: web, mac: "52:54:00:00:00:10", ips: [10.0.0.10, "fd00::10"] }
  - { name: client0, type: tap, device: client0, vm: client, mac: "52:54:00:00:00:20", ips: [10.0.0.20, "fd00::20"] }
  - { name: out0, type: tap, device: out0, role: uplink }
firewall:
  policies:
    guarded:
      rules:
        - { name: http, action: allow, direction: in, protocol: tcp, destination: { port: 80 } }
ips: { enabled: false }
`;

/** What a command writes, in this process: one after the other, so tests here are serial. */
async function said(run: () => Promise<number>): Promise<{ code: number; stdout: string; stderr: string }> {
  const texts = { stdout: '', stderr: '' };
  const writes = { stdout: process.stdout.write, stderr: process.stderr.write };
  for (const name of ['stdout', 'stderr'] as const) {
    process[name].write = ((text: string) => {
      texts[name] += text;
      return true;
    }) as typeof process.stdout.write;
  }
  try {
    const code = await run();
    return { code, ...texts };
  } finally {
    Object.assign(process.stdout, { write: writes.stdout });
    Object.assign(process.stderr, { write: writes.stderr });
  }
}

for (const [packet, passes, words] of [
  ['tcp 10.0.0.20:40000 > 10.0.0.10:80 syn', true, /verdict +/],
  ['tcp 10.0.0.20 > 10.0.0.10:81', false, /firewall_out_of_allowed/],
  ['udp 10.0.0.20 > 10.0.0.10:53', false, /firewall_out_of_allowed/],
  ['tcp [fd00::20]:5000 > [fd00::10]:80', true, /verdict/],
  ['tcp 10.0.0.99 > 10.0.0.10:80', false, /dropped before inspection: port_ip_spoof/],
  ['tcp 10.0.0.20 > 10.0.0.10:80 syn,fin', false, /ct_invalid_flags|firewall_/],
  ['tcp 10.0.0.20 > 10.0.0.10:80 ack', false, /ct_invalid/],
] as const) {
  test.serial(`from client0: ${packet}`, async (t) => {
    const dir = folder(t, { 'c.yaml': CONFIG });
    const { code, stdout, stderr } = await said(() => trace('client0', packet, { config: join(dir, 'c.yaml') }));
    t.is(code, 0, stderr);
    t.regex(stdout, words);
    t.is(/drop|reject/i.test(stdout), !passes, stdout);
  });
}

for (const [port, packet, message] of [
  ['client0', 'tcp 10.0.0.20', /is no packet; expected: tcp\|udp/],
  ['client0', 'tcp 10.0.0.20 > 10.0.0.10', /tcp needs a destination port/],
  ['client0', 'icmp 10.0.0.20 > 10.0.0.10:80', /icmp has no ports/],
  ['client0', 'tcp 10.0.0.20 > fd00::1', /different IP versions/],
  ['client0', 'tcp 10.0.0.20 > 10.0.0.10:80 now', /"now" is no TCP flag/],
  ['nobody', 'icmp 10.0.0.20 > 10.0.0.10', /there is no port "nobody"; known: web0, client0, out0/],
  ['out0', 'icmp 10.0.0.20 > 10.0.0.10', /port out0 has no mac/],
] as const) {
  test.serial(`refused: ${port} "${packet}"`, async (t) => {
    const dir = folder(t, { 'c.yaml': CONFIG });
    const { code, stderr } = await said(() => trace(port, packet, { config: join(dir, 'c.yaml') }));
    t.is(code, 2);
    t.regex(stderr, message);
  });
}

test('described packets decode to what was described', (t) => {
  const view = new PacketView();
  const see = (text: string): PacketView => {
    const frame = buildPacket(parsePacket(text), '02:00:00:00:00:01', '02:00:00:00:00:02');
    decode(view, frame, 0, frame.length, LinkType.ETHERNET);
    t.is(view.malformed, 0, text);
    return view;
  };
  t.like(see('tcp 10.0.0.1:5 > 10.0.0.2:6 syn+ack'), { proto: 6, srcPort: 5, dstPort: 6, tcpFlags: 18 });
  t.true(ipv4ChecksumOk(view));
  t.like(see('udp [fd00::1]:7 > [fd00::2]:8'), { ipVersion: 6, proto: 17, srcPort: 7, dstPort: 8 });
  t.like(see('icmp 10.0.0.1 > 10.0.0.2'), { proto: 1, icmpType: 8 });
  t.like(see('icmp fd00::1 > fd00::2'), { proto: 58, icmpType: 128 });
  t.is(see('arp 10.0.0.1 > 10.0.0.2').etherType, 0x0806);
});
