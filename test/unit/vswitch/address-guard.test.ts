/** IP discovery and SpoofGuard on the switch's public face. */
import test from 'ava';
import { formatIp } from '../../../src/packet/index.js';
import { A_IP, A_PORT, A_STATE, ADDRESS_STATES, ADDRESSES_PER_PORT, type PortSecurityConfig, type SwitchPortConfig } from '../../../src/vswitch/index.js';
import { BROADCAST, Bench, MAC_A, MAC_B, MAC_C, arp, icmpv6, macBytes, udp } from './harness.js';

const AUTO: PortSecurityConfig = { spoofGuard: { mode: 'auto' } };
const UPLINK: SwitchPortConfig = { name: 'up', role: 'uplink' };

function two(security: PortSecurityConfig = AUTO, more: Partial<SwitchPortConfig> = {}): { bench: Bench; told: string[] } {
  const told: string[] = [];
  const configs: SwitchPortConfig[] = [{ name: 'a', mac: MAC_A, security, ...more }, { name: 'b', mac: MAC_B, security }, UPLINK];
  const bench = new Bench(configs, undefined, {
    onAddress: { address: (event, table, row, port) => told.push(`${configs[port]!.name} ${event} ${row < 0 ? '' : address(table.word(row, A_IP), table.isV6(row), [1, 2, 3].map((i) => table.word(row, A_IP + i)))}`.trim()) },
    onPortEvent: (port, event) => told.push(`${configs[port]!.name} ${event}`),
  });
  return { bench, told };
}

function address(w0: number, v6: boolean, rest: number[]): string {
  return formatIp(v6 ? 6 : 4, w0, rest[0]!, rest[1]!, rest[2]!);
}

/** Addresses by port and state. */
function list(bench: Bench): string[] {
  const { addresses } = bench.switch;
  const lines: string[] = [];
  addresses.forEach((row) => lines.push(`${addresses.word(row, A_PORT)} ${address(addresses.word(row, A_IP), addresses.isV6(row), [1, 2, 3].map((i) => addresses.word(row, A_IP + i)))} ${ADDRESS_STATES[addresses.word(row, A_STATE)]}`));
  return lines.sort();
}

const from = (src: string, mac = MAC_A): Uint8Array => udp(MAC_B, mac, { src });

test('trust on first use: the first address passes, later ones are listed and refused', (t) => {
  const { bench, told } = two();
  t.is(bench.fate(0, from('10.0.0.1')), 'port_address_unapproved', 'nothing is known yet');
  t.is(bench.fate(0, arp(MAC_A, MAC_A, '10.0.0.1')), 'forwarded');
  t.is(bench.fate(0, from('10.0.0.1')), 'forwarded');
  t.is(bench.fate(0, arp(MAC_A, MAC_A, '10.0.0.5')), 'port_address_unapproved');
  t.is(bench.fate(0, from('10.0.0.5')), 'port_address_unapproved');
  t.is(bench.fate(0, arp(MAC_A, MAC_A, '0.0.0.0')), 'forwarded', 'a probe claims nothing');
  t.is(bench.fate(0, udp(BROADCAST, MAC_A, { src: '0.0.0.0', sport: 68, dport: 67 })), 'forwarded', 'a client without an address may ask for one');
  t.deepEqual(list(bench), ['0 10.0.0.1 realised', '0 10.0.0.5 discovered']);
  t.deepEqual(told, ['a realised 10.0.0.1', 'a discovered 10.0.0.5']);
  t.is(bench.fate(0, from('10.0.0.1'), 9_000_000), 'forwarded', 'first use is for ever');
  t.deepEqual(bench.account(), { received: 8, unaccounted: 0 });
});

test('the MAC and the payload of ARP are checked as well, and teach nothing when they lie', (t) => {
  const { bench } = two();
  t.is(bench.fate(0, arp(MAC_A, MAC_C, '10.0.0.1')), 'port_ip_spoof', 'another link address in the payload');
  t.is(bench.fate(0, arp(MAC_C, MAC_C, '10.0.0.1')), 'port_forged_transmit');
  t.is(bench.fate(0, arp(MAC_C, MAC_C, '10.0.0.1')), 'port_forged_transmit');
  const accept = two({ ...AUTO, forgedTransmits: 'accept' }).bench;
  t.is(accept.fate(0, from('10.0.0.1', MAC_C)), 'port_forged_transmit', 'SpoofGuard checks the MAC whatever the policy for forged transmits');
  t.deepEqual(list(bench), []);
  const pair = two(AUTO, { allowedMacs: [MAC_C] }).bench;
  t.is(pair.fate(0, arp(MAC_A, MAC_A, '10.0.0.1')), 'forwarded');
  t.is(pair.fate(0, from('10.0.0.1', MAC_C)), 'port_address_mac', 'IP and MAC belong together');
  t.is(pair.fate(0, arp(MAC_C, MAC_C, '10.0.0.1')), 'forwarded', 'the guest announces the move');
  t.is(pair.fate(0, from('10.0.0.1', MAC_C)), 'forwarded');
});

test('duplicates: the second port is refused, told of, and promoted when the first lets go', (t) => {
  const { bench, told } = two();
  bench.fate(0, arp(MAC_A, MAC_A, '10.0.0.1'));
  t.is(bench.fate(1, from('10.0.0.1', MAC_B)), 'port_address_duplicate');
  t.is(bench.fate(1, arp(MAC_B, MAC_B, '10.0.0.1')), 'port_address_duplicate');
  t.deepEqual(list(bench), ['0 10.0.0.1 realised', '1 10.0.0.1 duplicate']);
  t.is(bench.switch.addresses.duplicates, 1);
  bench.switch.setPortState(0, 'down');
  t.deepEqual(list(bench), ['1 10.0.0.1 realised']);
  t.is(bench.fate(1, udp(MAC_C, MAC_B, { src: '10.0.0.1' })), 'forwarded');
  t.deepEqual(told, ['a realised 10.0.0.1', 'b duplicate 10.0.0.1', 'a released 10.0.0.1', 'b promoted 10.0.0.1']);
});

test('approval: nothing passes before, what an operator says holds across ageing and a port that goes down', (t) => {
  const { bench } = two({ spoofGuard: { mode: 'approve' } });
  const { addresses } = bench.switch;
  const approve = (port: number, mac: number): string => addresses.approve(port, 1, false, 0x0a000001, 0, 0, 0, 0x0200, mac, 0);
  t.is(bench.fate(0, arp(MAC_A, MAC_A, '10.0.0.1')), 'port_address_unapproved');
  t.deepEqual(list(bench), ['0 10.0.0.1 discovered']);
  t.is(approve(0, 0x0a), '');
  t.is(bench.fate(0, from('10.0.0.1')), 'forwarded');
  t.is(approve(1, 0x0b), 'held', 'not for two ports');
  t.is(approve(2, 0x0b), 'unguarded');
  bench.run(100_000);
  bench.switch.setPortState(0, 'down');
  bench.switch.setPortState(0, 'up');
  t.deepEqual(list(bench), ['0 10.0.0.1 approved']);
  t.true(addresses.revoke(0, 1, false, 0x0a000001, 0, 0, 0));
  t.false(addresses.revoke(0, 1, false, 0x0a000001, 0, 0, 0));
  t.is(bench.fate(0, from('10.0.0.1')), 'port_address_unapproved');
  t.is(approve(1, 0x0b), '', 'before it was ever seen');
  t.is(bench.fate(1, udp(MAC_A, MAC_B, { src: '10.0.0.1' })), 'forwarded');
});

test('configured addresses need no discovery, and subnets bound it', (t) => {
  const { bench } = two({ spoofGuard: { mode: 'auto', authorised: ['10.0.0.0/24', 'fd00::/64'] } }, { ips: ['192.0.2.7'] });
  t.is(bench.fate(0, from('192.0.2.7')), 'forwarded');
  t.is(bench.fate(0, arp(MAC_A, MAC_A, '10.9.0.1')), 'port_address_outside');
  t.is(bench.fate(0, arp(MAC_A, MAC_A, '10.0.0.1')), 'forwarded', 'what was refused used up no first use');
  t.deepEqual(list(bench), ['0 10.0.0.1 realised', '0 10.9.0.1 outside']);
  t.throws(() => new Bench([{ name: 'x', security: AUTO }]), { message: /port x: spoofGuard needs mac/ });
  t.throws(() => new Bench([{ name: 'x', mac: MAC_A, security: { spoofGuard: { mode: 'auto', authorised: ['10.0.0.0/99'] } } }]), { message: /port x/ });
});

test('trust on every use: an address that falls silent makes room', (t) => {
  const { bench } = two({ spoofGuard: { mode: 'auto' }, discovery: { trust: 'every-use', ageingSeconds: 60 } });
  bench.fate(0, arp(MAC_A, MAC_A, '10.0.0.1'), 1000);
  t.is(bench.fate(0, from('10.0.0.1'), 1050), 'forwarded', 'counts as use');
  t.is(bench.fate(0, arp(MAC_A, MAC_A, '10.0.0.2'), 1100), 'port_address_unapproved');
  t.is(bench.fate(0, arp(MAC_A, MAC_A, '10.0.0.2'), 1111), 'forwarded');
  t.deepEqual(list(bench), ['0 10.0.0.2 realised']);
});

const NS = 135;
const NA = 136;
const link = (option: number, mac: string): number[] => [option, 1, ...macBytes(mac)];
const fd1 = [0xfd, ...Array.from({ length: 14 }, () => 0), 1];
const fd2 = [0xfd, ...Array.from({ length: 14 }, () => 0), 2];

test('neighbour discovery: solicitations, advertisements and duplicate address detection', (t) => {
  const { bench, told } = two({ spoofGuard: { mode: 'auto' }, discovery: { maxIpv6: 1 } });
  const advertise = (mac: string, target: number[], src: string, lladdr = mac): Uint8Array => icmpv6(MAC_C, mac, NA, [0, 0, 0, 0, ...target, ...link(2, lladdr)], { src });
  t.is(bench.fate(0, icmpv6('33:33:ff:00:00:01', MAC_A, NS, [0, 0, 0, 0, ...fd1], { src: '::' })), 'forwarded', 'DAD claims the first address');
  t.is(bench.fate(0, udp(MAC_B, MAC_A, { src: 'fd00::1' })), 'forwarded');
  t.is(bench.fate(0, advertise(MAC_A, fd1, 'fd00::1')), 'forwarded');
  t.is(bench.fate(0, advertise(MAC_A, fd1, 'fd00::1', MAC_C)), 'port_ip_spoof', 'a foreign link address');
  t.is(bench.fate(0, advertise(MAC_A, fd2, 'fd00::1')), 'port_address_unapproved', 'one is enough');
  t.is(bench.fate(1, advertise(MAC_B, fd1, 'fe80::b')), 'port_address_duplicate');
  t.is(bench.fate(1, icmpv6('33:33:ff:00:00:02', MAC_B, NS, [0, 0, 0, 0, ...fd1, ...link(1, MAC_B)], { src: 'fd00::2' })), 'forwarded', 'the first port was seen with it, but does not hold it');
  t.is(bench.fate(0, udp(MAC_B, MAC_A, { src: 'fe80::a' })), 'forwarded', 'link-local addresses come with the interface');
  t.deepEqual(told, ['a realised fd00::1', 'a discovered fd00::2', 'b duplicate fd00::1', 'b realised fd00::2']);
});

/** A DHCP message of a server: `type` to the client `mac`. */
function dhcp(type: number, mac: string, yiaddr: number[], lease: number, options: { sport?: number; dport?: number; src?: string; srcMac?: string; ciaddr?: number[] } = {}): Uint8Array {
  const body = new Uint8Array(260);
  body.set([options.sport === 68 ? 1 : 2, 1, 6, 0]);
  body.set(options.ciaddr ?? [0, 0, 0, 0], 12);
  body.set(yiaddr, 16);
  body.set(macBytes(mac), 28);
  body.set([0x63, 0x82, 0x53, 0x63, 53, 1, type, 51, 4, lease >>> 24, (lease >>> 16) & 255, (lease >>> 8) & 255, lease & 255, 255], 236);
  const frame = udp(mac, options.srcMac ?? MAC_C, { src: options.src ?? '10.0.0.254', dst: '10.0.0.9', sport: options.sport ?? 67, dport: options.dport ?? 68, payload: body.length });
  frame.set(body, 42);
  return frame;
}

test('DHCP: a lease is trusted, ends in time, is replaced by the next and given back by a release', (t) => {
  const { bench } = two();
  const at = (sec: number, frame: Uint8Array, port = 2): string => bench.fate(port, frame, sec);
  t.is(at(100, dhcp(5, MAC_A, [10, 0, 0, 1], 60)), 'forwarded');
  t.deepEqual(list(bench), ['0 10.0.0.1 realised']);
  t.is(at(110, from('10.0.0.1'), 0), 'forwarded');
  t.is(at(120, dhcp(5, MAC_A, [10, 0, 0, 2], 60)), 'forwarded', 'the server leases another address');
  t.deepEqual(list(bench), ['0 10.0.0.2 realised']);
  t.is(at(121, from('10.0.0.1'), 0), 'port_address_unapproved');
  t.is(at(181, from('10.0.0.2'), 0), 'port_address_unapproved', 'the lease ran out');
  at(200, dhcp(5, MAC_A, [10, 0, 0, 3], 3600));
  const release = dhcp(7, MAC_A, [0, 0, 0, 0], 0, { sport: 68, dport: 67, src: '10.0.0.3', srcMac: MAC_A, ciaddr: [10, 0, 0, 3] });
  release.set(macBytes(MAC_C), 0);
  t.is(at(210, release, 0), 'forwarded');
  t.deepEqual(list(bench), []);
  t.is(at(220, dhcp(5, MAC_A, [10, 0, 0, 8], 60, { srcMac: MAC_B }), 1), 'port_dhcp_server', 'a guest leases nothing');
  t.is(at(230, dhcp(2, MAC_A, [10, 0, 0, 8], 60)), 'forwarded', 'an offer is no lease');
  t.deepEqual(list(bench), []);
});

test('DHCPv6: the addresses of a reply belong to the port they are sent to', (t) => {
  const { bench } = two();
  const iaaddr = [0, 5, 0, 24, ...fd1, 0, 0, 0, 60, 0, 0, 0, 90];
  const body = [7, 1, 2, 3, 0, 3, 0, 12 + iaaddr.length, ...Array.from({ length: 12 }, () => 0), ...iaaddr];
  const reply = udp(MAC_A, MAC_C, { src: 'fe80::c', dst: 'fe80::a', sport: 547, dport: 546, payload: body.length });
  reply.set(body, 62);
  bench.forward(0, arp(MAC_A, MAC_A, '10.0.0.1'));
  t.is(bench.fate(2, reply, 10), 'forwarded');
  t.true(list(bench).includes('0 fd00::1 realised'));
  t.is(bench.fate(0, udp(MAC_B, MAC_A, { src: 'fd00::1' }), 20), 'forwarded');
  t.is(bench.fate(0, udp(MAC_B, MAC_A, { src: 'fd00::1' }), 101), 'port_address_unapproved', 'the valid lifetime is over');
  for (let cut = 0; cut < body.length; cut++) {
    const short = reply.slice(0, 62 + cut);
    t.is(bench.fate(2, short, 30), bench.fate(2, short, 30));
  }
});

test('a guest that claims address after address fills its own rows only', (t) => {
  const { bench, told } = two();
  for (let i = 0; i < ADDRESSES_PER_PORT + 50; i++) bench.forward(0, arp(MAC_A, MAC_A, `10.1.${i >> 8}.${i & 255}`));
  t.is(bench.switch.addresses.count, ADDRESSES_PER_PORT);
  t.is(bench.switch.addresses.refused, 50);
  t.is(told.filter((line) => line === 'a refused').length, 50);
  t.is(bench.fate(1, arp(MAC_B, MAC_B, '10.0.0.2')), 'forwarded');
});

test('discovery without SpoofGuard drops nothing and still tells of duplicates', (t) => {
  const { bench, told } = two({ discovery: {} });
  t.is(bench.fate(0, from('10.0.0.77')), 'forwarded');
  bench.fate(0, arp(MAC_A, MAC_A, '10.0.0.1'));
  t.is(bench.fate(1, arp(MAC_B, MAC_B, '10.0.0.1')), 'forwarded');
  t.deepEqual(told, ['a realised 10.0.0.1', 'b duplicate 10.0.0.1']);
  const off = two({});
  off.bench.fate(0, arp(MAC_A, MAC_A, '10.0.0.1'));
  t.is(off.bench.switch.addresses.count, 0);
  t.is(off.bench.switch.addresses.rows.length, 0, 'no memory is taken');
});

// ---- loops ---------------------------------------------------------------------------------------------------------------

function loopBench(loopProtection: 'off' | 'drop' | 'block'): { bench: Bench; told: string[] } {
  const told: string[] = [];
  const bench = new Bench([{ name: 'a', mac: MAC_A }, { name: 'up', role: 'uplink', security: { loopProtection, loopBlockSeconds: 30 } }, { name: 'up2', role: 'uplink' }], undefined, {
    onPortEvent: (port, event) => told.push(`${port} ${event}`),
  });
  return { bench, told };
}

test("a frame that carries another port's MAC comes back: dropped, and the MAC stays where it is", (t) => {
  const { bench } = loopBench('drop');
  t.is(bench.fate(1, udp(BROADCAST, MAC_A)), 'switch_loop');
  t.deepEqual(bench.forward(1, udp(MAC_A, MAC_B)), [0]);
  t.is(loopBench('off').bench.fate(1, udp(BROADCAST, MAC_A)), 'forwarded');
});

test('a looping port is cut off for a while; a station that moves once is not', (t) => {
  const { bench, told } = loopBench('block');
  for (let i = 0; i < 3; i++) {
    t.is(bench.fate(2, udp(BROADCAST, MAC_B), 100), 'forwarded');
    t.is(bench.fate(1, udp(BROADCAST, MAC_B), 100), 'forwarded');
  }
  for (let i = 0; i < 7; i++) {
    bench.fate(2, udp(BROADCAST, MAC_B), 100);
    t.is(bench.fate(1, udp(BROADCAST, MAC_B), 100), 'forwarded');
  }
  bench.fate(2, udp(BROADCAST, MAC_B), 100);
  t.is(bench.fate(1, udp(BROADCAST, MAC_B), 100), 'switch_loop_blocked');
  t.is(bench.fate(1, udp(MAC_A, MAC_C), 110), 'switch_loop_blocked');
  t.is(bench.fate(2, udp(MAC_A, MAC_C), 110), 'forwarded', 'the other way in is open');
  t.is(bench.fate(1, udp(MAC_A, MAC_C), 130), 'forwarded');
  t.deepEqual(told, ['1 loop_blocked', '1 loop_released']);
  t.is(bench.account().unaccounted, 0);
});
