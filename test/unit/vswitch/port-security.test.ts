import test from 'ava';
import { P_COPY_DROPS } from '../../../src/pipeline/index.js';
import type { PortSecurityConfig, SwitchPortConfig } from '../../../src/vswitch/index.js';
import { BROADCAST, Bench, MAC_A, MAC_B, MAC_C, MULTICAST, arp, icmpv6, macBytes, raw, udp } from './harness.js';

/** A guarded VM on port 0, an uplink on port 1 that takes everything. */
function guest(config: Partial<SwitchPortConfig> = {}, security: PortSecurityConfig = {}): Bench {
  return new Bench([{ name: 'vm', mac: MAC_A, security, ...config }, { name: 'up', role: 'uplink' }]);
}

const OPEN: PortSecurityConfig = { bpduFilter: false, dhcpServerBlock: false, raGuard: false };

test('forged transmits', (t) => {
  t.is(guest().fate(0, udp(MAC_B, MAC_A)), 'forwarded');
  t.is(guest().fate(0, udp(MAC_B, MAC_C)), 'port_forged_transmit');
  t.is(guest({ allowedMacs: [MAC_C] }).fate(0, udp(MAC_B, MAC_C)), 'forwarded');
  t.is(guest({}, { forgedTransmits: 'accept' }).fate(0, udp(MAC_B, MAC_C)), 'forwarded');
  t.is(guest().fate(1, udp(MAC_A, MAC_C)), 'forwarded', 'a port without MAC has nothing to compare with');
});

test('MAC changes, told by the hypervisor: nothing is delivered until the address is set back', (t) => {
  const bench = guest();
  t.is(bench.fate(1, udp(MAC_A, MAC_B)), 'forwarded');
  bench.switch.setEffectiveMac(0, MAC_C);
  t.true(bench.switch.isMacChanged(0));
  t.is(bench.fate(1, udp(MAC_A, MAC_B)), 'port_mac_change');
  t.is(bench.fate(1, udp(BROADCAST, MAC_B)), 'port_mac_change');
  t.is(bench.fate(0, udp(MAC_B, MAC_C)), 'forwarded', 'the frame carries the address of the adapter: not forged');
  t.is(bench.fate(0, udp(MAC_B, '02:00:00:00:00:77')), 'port_forged_transmit');
  bench.switch.setEffectiveMac(0, MAC_A);
  t.is(bench.fate(1, udp(MAC_A, MAC_B)), 'forwarded');
  const accepting = guest({}, { macChanges: 'accept' });
  accepting.switch.setEffectiveMac(0, MAC_C);
  t.is(accepting.fate(1, udp(MAC_C, MAC_B)), 'forwarded');
  t.throws(() => bench.switch.setEffectiveMac(0, 'nonsense'), { instanceOf: SyntaxError });
});

test('MAC changes, inferred from what the guest sends', (t) => {
  const bench = guest({}, { forgedTransmits: 'accept' });
  t.is(bench.fate(0, udp(MAC_B, MAC_C)), 'forwarded');
  t.is(bench.fate(1, udp(MAC_A, MAC_B)), 'port_mac_change');
  t.is(bench.fate(0, udp(MAC_B, MAC_A)), 'forwarded');
  t.is(bench.fate(1, udp(MAC_A, MAC_B)), 'forwarded', 'delivery resumes by itself');
  const strict = guest();
  strict.forward(0, udp(MAC_B, MAC_C));
  t.is(strict.fate(1, udp(MAC_A, MAC_B)), 'forwarded', 'a forged frame is refused and proves no change');
});

test('promiscuous', (t) => {
  const ports = (promiscuous: 'accept' | 'reject') =>
    new Bench([{ name: 'a', mac: MAC_A }, { name: 'b', mac: MAC_B }, { name: 'c', mac: MAC_C, security: { promiscuous } }, { name: 'd', vlan: { mode: 'access', id: 9 } }]);
  t.deepEqual(ports('reject').forward(0, udp(MAC_B, MAC_A)), [1]);
  t.deepEqual(ports('accept').forward(0, udp(MAC_B, MAC_A)), [1, 2]);
  t.deepEqual(ports('accept').forward(0, udp('02:00:00:00:00:77', MAC_A)), [2]);
  t.is(ports('reject').fate(0, udp('02:00:00:00:00:77', MAC_A)), 'port_promiscuous');
  t.deepEqual(ports('reject').forward(0, udp(BROADCAST, MAC_A)), [1, 2]);
});

test('bridge protocols', (t) => {
  const stp = '01:80:c2:00:00:00';
  const pvst = '01:00:0c:cc:cc:cd';
  t.is(guest().fate(0, raw(stp, MAC_A, 0x0027)), 'port_bpdu');
  t.is(guest().fate(0, raw(pvst, MAC_A, 0x0032)), 'port_bpdu');
  t.is(guest({}, OPEN).fate(0, raw(stp, MAC_A, 0x0027)), 'switch_reserved');
  t.is(guest({}, OPEN).fate(0, raw(pvst, MAC_A, 0x0032)), 'forwarded');
  t.is(guest({}, { bpduAllowed: [stp] }).fate(0, raw(stp, MAC_A, 0x0027)), 'forwarded');
  t.is(guest().fate(1, raw(pvst, MAC_B, 0x0032)), 'port_bpdu', 'nor to a guest');
});

test('DHCP', (t) => {
  const server4 = udp(MAC_B, MAC_A, { sport: 67, dport: 68 });
  const client4 = udp(BROADCAST, MAC_A, { sport: 68, dport: 67 });
  const server6 = udp(MAC_B, MAC_A, { src: 'fe80::a', sport: 547, dport: 546 });
  const client6 = udp(MAC_B, MAC_A, { src: 'fe80::a', sport: 546, dport: 547 });
  for (const frame of [server4, server6]) {
    t.is(guest().fate(0, frame), 'port_dhcp_server');
    t.is(guest({}, OPEN).fate(0, frame), 'forwarded');
    t.is(guest({ role: 'uplink' }).fate(0, frame), 'forwarded');
  }
  for (const frame of [client4, client6]) {
    t.is(guest().fate(0, frame), 'forwarded');
    t.is(guest({}, { dhcpClientBlock: true }).fate(0, frame), 'port_dhcp_client');
  }
  t.is(guest({}, { dhcpClientBlock: true }).fate(0, udp(MAC_B, MAC_A)), 'forwarded');
});

/** Put a fragment header (offset 0, more fragments) in front of the payload of an IPv6 frame. */
function firstFragment(frame: Uint8Array, next: number): Uint8Array {
  const payload = frame.slice(54, 54 + ((frame.length - 54) & ~7));
  const out = new Uint8Array(62 + payload.length);
  out.set(frame.slice(0, 54), 0);
  out.set([next, 0, 0, 1, 0, 0, 0, 1], 54);
  out.set(payload, 62);
  out[20] = 44;
  out[18] = (payload.length + 8) >>> 8;
  out[19] = payload.length + 8;
  return out;
}

test('router advertisements', (t) => {
  const ra = icmpv6('33:33:00:00:00:01', MAC_A, 134, Array.from({ length: 12 }, () => 0));
  const rs = icmpv6('33:33:00:00:00:02', MAC_A, 133, Array.from({ length: 12 }, () => 0));
  t.is(guest().fate(0, ra), 'port_ra_guard');
  t.is(guest().fate(0, rs), 'forwarded');
  t.is(guest({}, OPEN).fate(0, ra), 'forwarded');
  t.is(guest().fate(0, firstFragment(ra, 58)), 'port_ra_guard');
  t.is(guest().fate(0, firstFragment(rs, 58)), 'forwarded');
  t.is(guest().fate(0, firstFragment(ra, 60)), 'port_ra_guard', 'hidden behind an extension header (RFC 7113)');
  t.is(guest({}, OPEN).fate(0, firstFragment(ra, 60)), 'forwarded');
});

test('only IP', (t) => {
  const strict = { nonIpBlock: true, ...OPEN };
  t.is(guest({}, strict).fate(0, raw(MAC_B, MAC_A, 0x88b5)), 'port_non_ip');
  t.is(guest().fate(0, raw(MAC_B, MAC_A, 0x88b5)), 'forwarded');
  t.is(guest({}, strict).fate(0, raw(MAC_B, MAC_A, 0x8847, [0, 0, 0x11, 0x40, ...udp(MAC_B, MAC_A).slice(14)])), 'port_non_ip', 'IP inside MPLS is not IP');
  t.is(guest({}, strict).fate(0, udp(MAC_B, MAC_A)), 'forwarded');
  t.is(guest({}, strict).fate(0, udp(MAC_B, MAC_A, { src: 'fd00::1' })), 'forwarded');
  t.is(guest({}, strict).fate(0, arp(MAC_A, MAC_A, '10.0.0.1')), 'forwarded');
  t.is(guest({}, strict).fate(0, raw(BROADCAST, MAC_A, 0x8035)), 'forwarded');
  t.is(guest({ vlan: { mode: 'tunnel', id: 1 } }, strict).fate(0, udp(MAC_B, MAC_A, { tags: [7] })), 'forwarded');
  t.is(guest({ vlan: { mode: 'tunnel', id: 1 } }, strict).fate(0, raw(MAC_B, MAC_A, 0x88b5, undefined, [7])), 'port_non_ip');
});

const IPS = { ips: ['10.0.0.1', '10.9.0.0/16', 'fd00::1'] };

test('source addresses: IPv4', (t) => {
  const fate = (src: string, options = {}) => guest(IPS).fate(0, udp(MAC_B, MAC_A, { src, ...options }));
  t.is(fate('10.0.0.1'), 'forwarded');
  t.is(fate('10.9.200.3'), 'forwarded');
  t.is(fate('10.0.0.2'), 'port_ip_spoof');
  t.is(fate('0.0.0.0'), 'port_ip_spoof');
  t.is(fate('0.0.0.0', { sport: 68, dport: 67, dst: '255.255.255.255' }), 'forwarded');
  t.is(guest().fate(0, udp(MAC_B, MAC_A, { src: '10.0.0.2' })), 'forwarded', 'no list, no check');
  const broken = udp(MAC_B, MAC_A);
  broken[14] = 0x65;
  t.is(guest(IPS).fate(0, broken), 'port_ip_spoof', 'what cannot be read cannot be shown to be honest');
});

test('source addresses: ARP', (t) => {
  t.is(guest(IPS).fate(0, arp(MAC_A, MAC_A, '10.0.0.1')), 'forwarded');
  t.is(guest(IPS).fate(0, arp(MAC_A, MAC_A, '0.0.0.0')), 'forwarded');
  t.is(guest(IPS).fate(0, arp(MAC_A, MAC_A, '10.0.0.2')), 'port_ip_spoof');
  t.is(guest(IPS).fate(0, arp(MAC_A, MAC_B, '10.0.0.1')), 'port_ip_spoof');
  t.is(guest({ ...IPS, allowedMacs: [MAC_B] }).fate(0, arp(MAC_A, MAC_B, '10.0.0.1')), 'forwarded');
  t.is(guest(IPS).fate(0, arp(MAC_A, MAC_A, '10.0.0.1').slice(0, 30)), 'port_ip_spoof');
});

test('source addresses: IPv6 and neighbour discovery', (t) => {
  const fd1 = [0xfd, ...Array.from({ length: 14 }, () => 0), 1];
  const fd2 = [0xfd, ...Array.from({ length: 14 }, () => 0), 2];
  const link = (type: number, mac: string) => [type, 1, ...macBytes(mac)];
  const send = (type: number, src: string, rest: number[], security: PortSecurityConfig = {}) =>
    guest(IPS, security).fate(0, icmpv6('33:33:00:00:00:01', MAC_A, type, [0, 0, 0, 0, ...rest], { src }));
  t.is(guest(IPS).fate(0, udp(MAC_B, MAC_A, { src: 'fd00::1' })), 'forwarded');
  t.is(guest(IPS).fate(0, udp(MAC_B, MAC_A, { src: 'fd00::2' })), 'port_ip_spoof');
  t.is(guest(IPS).fate(0, udp(MAC_B, MAC_A, { src: 'fe80::2' })), 'forwarded');
  t.is(guest(IPS, { allowLinkLocal: false }).fate(0, udp(MAC_B, MAC_A, { src: 'fe80::2' })), 'port_ip_spoof');
  t.is(guest(IPS).fate(0, udp(MAC_B, MAC_A, { src: '::' })), 'port_ip_spoof');
  t.is(send(136, 'fd00::1', [...fd1, ...link(2, MAC_A)]), 'forwarded');
  t.is(send(136, 'fd00::1', [...fd2, ...link(2, MAC_A)]), 'port_ip_spoof', 'advertises an address of somebody else');
  t.is(send(136, 'fd00::1', [...fd1, ...link(2, MAC_B)]), 'port_ip_spoof', 'advertises with the MAC of somebody else');
  t.is(send(136, 'fd00::1', [...fd1, 2, 0, 0, 0, 0, 0, 0, 0]), 'port_ip_spoof', 'option of length 0');
  t.is(send(135, 'fd00::1', [...fd2, ...link(1, MAC_A)]), 'forwarded', 'asks for somebody else');
  t.is(send(135, 'fd00::1', [...fd2, ...link(1, MAC_B)]), 'port_ip_spoof');
  t.is(send(135, '::', fd1), 'forwarded', 'duplicate address detection of its own');
  t.is(send(135, '::', fd2), 'port_ip_spoof', 'and of an address of somebody else');
  t.is(send(133, '::', []), 'forwarded');
  t.is(send(133, 'fe80::a', link(1, MAC_B)), 'port_ip_spoof');
  t.is(send(137, 'fe80::a', [...fd1, ...fd2, ...link(2, MAC_B)]), 'forwarded', 'a redirect names the MAC of the router');
  const na = icmpv6(MAC_B, MAC_A, 136, [0, 0, 0, 0, ...fd1, ...link(2, MAC_A)], { src: 'fd00::1' });
  t.is(guest(IPS).fate(0, firstFragment(na, 58)), 'port_ip_spoof', 'RFC 6980');
});

test('storm limits, in and out, broadcast and multicast apart', (t) => {
  const bench = guest({}, { rx: { broadcast: 3, multicast: 2 } });
  const fates = (frame: Uint8Array, n: number, sec: number, usec = 0) => Array.from({ length: n }, () => bench.fate(0, frame, sec, usec));
  t.deepEqual(fates(udp(BROADCAST, MAC_A), 5, 10), ['forwarded', 'forwarded', 'forwarded', 'port_broadcast_rate', 'port_broadcast_rate']);
  t.deepEqual(fates(udp(MULTICAST, MAC_A), 3, 10), ['forwarded', 'forwarded', 'port_multicast_rate']);
  t.deepEqual(fates(udp(BROADCAST, MAC_A), 2, 10, 400_000), ['forwarded', 'port_broadcast_rate']);
  t.deepEqual(fates(udp(BROADCAST, MAC_A), 4, 12), ['forwarded', 'forwarded', 'forwarded', 'port_broadcast_rate']);
  t.deepEqual(fates(udp(MAC_B, MAC_A), 50, 12), Array.from({ length: 50 }, () => 'forwarded'), 'unicast is not limited');

  const out = new Bench([{ name: 'a', security: { tx: { broadcast: 1 } } }, { name: 'b' }, { name: 'c' }]);
  t.deepEqual(out.forward(1, udp(BROADCAST, MAC_B), 5), [0, 2]);
  t.deepEqual(out.forward(1, udp(BROADCAST, MAC_B), 5), [2]);
  t.deepEqual(out.forward(1, udp(MULTICAST, MAC_B), 5), [0, 2]);
  t.is(out.counters.port(1, P_COPY_DROPS), 1);
});

test('settings that make no sense name the port', (t) => {
  t.throws(() => guest({ mac: 'zz' }), { message: /port vm: "zz" is not a MAC/ });
  t.throws(() => guest({ ips: ['10.0.0.0/33'] }), { message: /port vm: .*prefix length/ });
  t.throws(() => new Bench([{ name: 'x', allowedMacs: [MAC_A] }]), { message: /allowedMacs needs mac/ });
  t.throws(() => new Bench([{ name: 'x', passive: true, forwardTo: 'y' }]), { message: /passive/ });
});
