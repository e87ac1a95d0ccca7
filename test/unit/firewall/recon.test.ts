/** Reconnaissance scenarios: what is found, and what must not be. */
import test from 'ava';
import { parseFirewall, Recon, ReconKind, RECON_NAMES } from '../../../src/firewall/index.js';
import { CtState, DropReason, Verdict } from '../../../src/pipeline/index.js';
import { packet, type FrameSpec } from './frames.js';

const SCANNER = '203.0.113.66';
const VM = '10.0.0.1';

function watcher(settings: object = {}, sources?: number): Recon {
  const recon = new Recon(12345, sources);
  const { policy, problems } = parseFirewall({ recon: settings });
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  recon.configure(policy.recon);
  return recon;
}

const denied = (recon: Recon, spec: FrameSpec): string => RECON_NAMES[recon.observe(packet(spec), CtState.NEW, Verdict.DROP)];
const permitted = (recon: Recon, spec: FrameSpec): string => RECON_NAMES[recon.observe(packet(spec), CtState.NEW, Verdict.PASS)];
const invalid = (recon: Recon, spec: FrameSpec): string => RECON_NAMES[recon.observe(packet(spec), CtState.INVALID, Verdict.DROP)];

/** Run `n` probes; the kinds found, with the number of the probe. */
function found(n: number, probe: (i: number) => string): [number, string][] {
  const out: [number, string][] = [];
  for (let i = 0; i < n; i++) {
    const kind = probe(i);
    if (kind !== 'none') out.push([i, kind]);
  }
  return out;
}

test('SYN scan of one host is found after about 25 ports, once', (t) => {
  for (const how of [denied, permitted]) {
    const recon = watcher();
    const hits = found(500, (i) => how(recon, { src: SCANNER, dst: VM, sport: 50000, dport: 1 + i * 7 }));
    t.is(hits.length, 1);
    t.is(hits[0]![1], 'port_scan');
    t.true(hits[0]![0] >= 24 && hits[0]![0] < 32, `at probe ${hits[0]![0]}`);
  }
});

test('UDP, ACK and IPv6 scans', (t) => {
  const udp = watcher();
  t.deepEqual(found(200, (i) => denied(udp, { src: SCANNER, dst: VM, proto: 'udp', sport: 50000, dport: 1 + i })).map((h) => h[1]), ['port_scan']);
  const ack = watcher();
  t.deepEqual(found(200, (i) => invalid(ack, { src: SCANNER, dst: VM, flags: 0x10, sport: 50000, dport: 1 + i })).map((h) => h[1]), ['port_scan']);
  const v6 = watcher();
  t.deepEqual(found(200, (i) => denied(v6, { src: '2001:db8::66', dst: '2001:db8::1', dport: 1 + i })).map((h) => h[1]), ['port_scan']);
});

test('network scan: denied at 25 hosts, permitted only at eight times as many', (t) => {
  const host = (i: number): string => `10.0.${i >> 8}.${i & 255}`;
  const refused = found(400, (i) => denied(refusing, { src: SCANNER, dst: host(i), dport: 445 }));
  t.is(refused.length, 1);
  t.is(refused[0]![1], 'network_scan');
  t.true(refused[0]![0] < 32);
  const allowed = found(400, (i) => permitted(allowing, { src: SCANNER, dst: host(i), dport: 445 }));
  t.is(allowed.length, 1);
  t.true(allowed[0]![0] > 150 && allowed[0]![0] < 260, `at host ${allowed[0]![0]}`);
  const ping = watcher();
  t.is(found(400, (i) => permitted(ping, { src: SCANNER, dst: host(i), proto: 'icmp' })).length, 1, 'ping sweep');
});
const refusing = watcher();
const allowing = watcher();

test('flag probes: null, SYN-FIN, Xmas, OS detection; each kind once per window', (t) => {
  const probes: [FrameSpec, string][] = [
    [{ flags: 0 }, 'tcp_null'],
    [{ flags: 0x03 }, 'tcp_syn_fin'],
    [{ flags: 0x29 }, 'tcp_xmas'],
    [{ flags: 0xff }, 'tcp_xmas'],
    [{ flags: 0x2b }, 'os_probe'],
    [{ flags: 0xc2, urgPtr: 0xf7f5 }, 'os_probe'],
    [{ proto: 'icmp', icmp: [8, 9] }, 'os_probe'],
  ];
  for (const [probe, kind] of probes) {
    const recon = watcher();
    const spec = { src: SCANNER, dst: VM, ...probe };
    t.is(invalid(recon, spec), kind, JSON.stringify(probe));
    t.is(invalid(recon, spec), 'none');
    t.is(invalid(recon, { ...spec, seconds: 61 }), kind, 'a new window');
  }
});

test('each detection can be turned off', (t) => {
  const probes: [string, FrameSpec][] = [['tcp_null', { flags: 0 }], ['tcp_syn_fin', { flags: 3 }], ['tcp_xmas', { flags: 0x29 }], ['os_probe', { flags: 0x2b }]];
  for (const [name, probe] of probes) t.is(invalid(watcher({ [name]: false }), { src: SCANNER, dst: VM, ...probe }), 'none', name);
  const noScan = watcher({ scan: false });
  t.deepEqual(found(300, (i) => denied(noScan, { src: SCANNER, dst: VM, dport: 1 + i })), []);
  t.is(invalid(watcher({ enabled: false }), { src: SCANNER, dst: VM, flags: 0 }), 'none');
});

test('no false alarms', (t) => {
  const page = watcher();
  t.deepEqual(found(200, (i) => permitted(page, { src: SCANNER, dst: VM, sport: 40000 + i, dport: 443 })), [], '200 connections of a page load');
  t.deepEqual(found(200, (i) => denied(page, { src: SCANNER, dst: VM, sport: 40000 + i, dport: 444 })), [], 'a client that retries one closed port');
  const browse = watcher();
  t.deepEqual(found(120, (i) => permitted(browse, { src: VM, dst: `198.51.${i}.${i}`, dport: i % 2 === 0 ? 443 : 80 })), [], 'browsing 120 sites in a minute');
  const resolver = watcher();
  t.deepEqual(found(500, (i) => invalid(resolver, { src: '9.9.9.9', dst: VM, proto: 'udp', sport: 53, dport: 33000 + i })), [], 'late DNS answers');
  const late = watcher();
  t.deepEqual(found(500, (i) => invalid(late, { src: SCANNER, dst: VM, flags: 0x11, sport: 443, dport: 33000 + i })), [], 'late FINs of a server');
  const established = watcher();
  t.deepEqual(found(500, (i) => RECON_NAMES[established.observe(packet({ src: SCANNER, dst: VM, dport: i }), CtState.ESTABLISHED, Verdict.PASS)]), []);
  const slow = watcher();
  t.deepEqual(found(20, (i) => denied(slow, { src: SCANNER, dst: VM, dport: 1 + i, seconds: i * 10 })), [], 'twenty ports, ten seconds apart');
  const multicast = watcher();
  t.deepEqual(found(300, (i) => denied(multicast, { src: VM, dst: '239.255.255.250', proto: 'udp', dport: 1000 + i })), []);
  const ecn = watcher();
  t.is(permitted(ecn, { src: SCANNER, dst: VM, flags: 0xc2 }), 'none', 'an ECN connection set-up');
});

test('allow list', (t) => {
  const recon = watcher({ allow: ['203.0.113.0/24', '2001:db8::/32'], block_seconds: 60 });
  t.is(invalid(recon, { src: SCANNER, dst: VM, flags: 0 }), 'none');
  t.is(invalid(recon, { src: '2001:db8::66', dst: 'fd00::1', flags: 0 }), 'none');
  t.is(invalid(recon, { src: '203.0.114.1', dst: VM, flags: 0 }), 'tcp_null');
});

test('block: from the detection for N seconds, then everything is as before', (t) => {
  const recon = watcher({ block_seconds: 120 });
  const at = (seconds: number, src = SCANNER): boolean => recon.blockedSources > 0 && recon.isBlocked(packet({ src, dst: VM, seconds }));
  t.false(at(0));
  t.is(invalid(recon, { src: SCANNER, dst: VM, flags: 0 }), 'tcp_null');
  t.is(recon.blockedSources, 1);
  t.true(at(1));
  t.false(at(1, '203.0.113.67'));
  const while1 = packet({ src: SCANNER, dst: VM, flags: 3 });
  while1.reason = DropReason.firewall_recon;
  t.is(recon.observe(while1, CtState.NEW, Verdict.DROP), ReconKind.NONE, 'what the block drops is not judged again');
  t.true(at(119));
  t.false(at(120));
  t.false(at(131));
  t.is(recon.blockedSources, 0);
});

test('bounded: a flood of sources evicts the quiet ones, not the scanner, and blocked ones stay', (t) => {
  const recon = watcher({ block_seconds: 600 }, 256);
  found(20, (i) => denied(recon, { src: SCANNER, dst: VM, dport: 1 + i }));
  found(20_000, (i) => denied(recon, { src: `100.64.${i >> 8}.${i & 255}`, dst: VM, dport: 80 }));
  t.true(recon.evicted > 10_000);
  const hits = found(15, (i) => denied(recon, { src: SCANNER, dst: VM, dport: 100 + i }));
  t.deepEqual(hits.map((h) => h[1]), ['port_scan'], 'its first 20 ports are remembered');
  found(20_000, (i) => denied(recon, { src: `100.65.${i >> 8}.${i & 255}`, dst: VM, dport: 80 }));
  t.true(recon.isBlocked(packet({ src: SCANNER, dst: VM })));
  found(2000, (i) => invalid(recon, { src: `100.66.${i >> 8}.${i & 255}`, dst: VM, flags: 0 }));
  t.true(recon.blockedSources <= 256);
  t.true(recon.refused > 0, 'no room beside blocked sources');
});

/** The host's answer to a probe. */
function answer(recon: Recon, spec: FrameSpec, flags: number): void {
  const view = packet({ src: spec.dst!, dst: spec.src!, sport: spec.dport!, dport: spec.sport ?? 40000, flags, seconds: spec.seconds ?? 0 });
  if ((flags & 4) !== 0) recon.rejected(view);
  else recon.accepted(view);
}

test('refusals of the hosts themselves count: a permitted sweep over closed ports is a network scan', (t) => {
  const recon = watcher();
  const hits = found(60, (i) => {
    const spec = { src: SCANNER, dst: `10.0.1.${i}`, dport: 22 };
    const kind = permitted(recon, spec);
    answer(recon, spec, 0x14);
    return kind;
  });
  t.deepEqual(hits.map((h) => h[1]), ['network_scan']);
  t.true(hits[0]![0] < 32);
  const detail = recon.describe(packet({ src: SCANNER, dst: VM }));
  t.false(detail.filtered);
  t.true(detail.rejects >= 25);
});

test('events tell what the scan found', (t) => {
  const recon = watcher();
  found(40, (i) => {
    const spec = { src: SCANNER, dst: VM, dport: 20 + i };
    const kind = permitted(recon, spec);
    if (spec.dport === 22 || spec.dport === 53) answer(recon, spec, 0x12);
    return kind;
  });
  const detail = recon.describe(packet({ src: SCANNER, dst: VM }));
  t.deepEqual(detail.openPorts, [22, 53]);
  t.is(detail.protocol, 'tcp');
  t.true(detail.filtered);
  t.true(detail.ports >= 35 && detail.ports <= 45);
});

test('patient scanners: one port in two minutes is found over the long window', (t) => {
  const recon = watcher();
  const hits = found(40, (i) => denied(recon, { src: SCANNER, dst: VM, dport: 1 + i, seconds: i * 90 }));
  t.deepEqual(hits.map((h) => h[1]).slice(0, 1), ['port_scan']);
  t.true(hits[0]![0] >= 24 && hits[0]![0] < 32);
  const patient = watcher({ slow_window_seconds: 600 });
  t.deepEqual(found(40, (i) => denied(patient, { src: SCANNER, dst: VM, dport: 1 + i, seconds: i * 90 })), [], 'below the rate of the shorter window');
});

test('a scan in fragments too small for a TCP header', (t) => {
  const recon = watcher();
  const probe = (i: number): string => {
    const view = packet({ src: SCANNER, dst: VM, fragment: { offset: 0, more: true }, dport: 1 + i });
    return RECON_NAMES[recon.observe(view, CtState.UNTRACKED, Verdict.DROP)];
  };
  t.deepEqual(found(100, probe).map((h) => h[1]), ['port_scan']);
  const rest = (i: number): string => RECON_NAMES[recon.observe(packet({ src: '203.0.113.9', dst: VM, fragment: { offset: 8 * (1 + i), more: true } }), CtState.UNTRACKED, Verdict.DROP)];
  t.deepEqual(found(100, rest), [], 'later fragments show no port');
});

test('IP protocol scan', (t) => {
  const recon = watcher();
  const hits = found(200, (i) => denied(recon, { src: SCANNER, dst: VM, proto: 60 + i, payload: 8 }));
  t.deepEqual(hits.map((h) => h[1]), ['port_scan']);
  t.is(recon.describe(packet({ src: SCANNER, dst: VM, proto: 200 })).protocol, 'ip');
});

test('decoys: several scanners at one target are one scan', (t) => {
  const recon = watcher();
  const kinds = found(300, (i) => denied(recon, { src: `203.0.113.${i % 6}`, dst: VM, dport: 1 + Math.floor(i / 6) })).map((h) => h[1]);
  t.is(kinds.filter((k) => k === 'decoy_scan').length, 1);
  t.is(kinds.filter((k) => k === 'port_scan').length, 5);
  const apart = watcher();
  const later = found(300, (i) => denied(apart, { src: `203.0.113.${Math.floor(i / 50)}`, dst: VM, dport: 1 + (i % 50), seconds: Math.floor(i / 50) * 5 }));
  t.deepEqual([...new Set(later.map((h) => h[1]))], ['port_scan'], 'one after the other they are scanners of their own');
});

test('distributed: many sources, each below the threshold; never two strangers alone', (t) => {
  const recon = watcher({ block_seconds: 60 });
  const kinds = found(400, (i) => denied(recon, { src: `203.0.113.${i % 40}`, dst: VM, dport: 1 + i }));
  t.deepEqual(kinds.map((h) => h[1]), ['distributed_scan']);
  t.is(recon.blockedSources, 0, 'no single source is to blame');
  const two = watcher();
  t.deepEqual(found(44, (i) => denied(two, { src: `203.0.113.${i % 2}`, dst: VM, dport: 1 + i })), []);
});

test('after a restart the old connections of a busy client are no scan', (t) => {
  const recon = watcher();
  t.deepEqual(found(300, (i) => invalid(recon, { src: VM, dst: `198.51.${i >> 8}.${i & 255}`, sport: 40000 + i, dport: 443, flags: 0x18, payload: 50 })), []);
});

test('watch list', (t) => {
  const recon = watcher({ watch: '203.0.113.0/24' });
  t.is(invalid(recon, { src: SCANNER, dst: VM, flags: 0 }), 'tcp_null');
  t.is(invalid(recon, { src: '198.51.100.1', dst: VM, flags: 0 }), 'none');
});
