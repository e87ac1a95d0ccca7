/** EVE lines, field by field as Suricata 7 writes them; what Drawbridge adds is src_vm, dest_vm, stage and generation. */
import test from 'ava';
import { EVENT_TYPES, EveWriter, type EveOptions } from '../../../src/appliance/events/eve.js';
import { PacketView, parseIp } from '../../../src/packet/index.js';
import { DropReason } from '../../../src/pipeline/index.js';

function writer(options: Partial<EveOptions> = {}): { eve: EveWriter; lines: { line: string; keep: boolean }[]; marked: number[] } {
  const lines: { line: string; keep: boolean }[] = [];
  const marked: number[] = [];
  const eve = new EveWriter({
    sink: { write: (line, keep) => lines.push({ line, keep }), flush: () => undefined, close: () => undefined },
    types: new Set(EVENT_TYPES),
    vmNames: ['attacker', 'web'],
    portNames: ['tap0', 'tap1'],
    packetSource: 'wire/pcap',
    host: '',
    firewallRule: (sid) => ({ name: `rule ${sid}`, log: sid !== 2, alert: sid === 3, packetData: sid === 3 }),
    dropEventsPerSecond: 2,
    describeFlow: () => {
      throw new Error('not asked for');
    },
    markAlerted: (id) => marked.push(id),
    ...options,
  });
  return { eve, lines, marked };
}

function packet(): PacketView {
  const view = new PacketView();
  Object.assign(view, { tsSec: 1_468_450_927, tsUsec: 199_672, frameNo: 7, ingress: 0, egress: 1, flowId: 3, flowDir: 0, ipVersion: 4, proto: 6, l4Off: 34, srcPort: 40_000, dstPort: 80, ipLen: 100, ttl: 64, tcpFlags: 0x18, seq: -1, ack: 5, window: 512 });
  view.src0 = parseIp('10.77.0.66').words[0]!;
  view.dst0 = parseIp('10.77.0.10').words[0]!;
  return view;
}

const FLOW = { id: 3, eveId: 1_374_724_542_169_090, appProto: 'http' };
const SIGNATURE = { gid: 1, sid: 9, rev: 2, msg: 'an attack', category: 'Attempted Admin', severity: 1, metadata: { cve: ['CVE_2021_44228'] }, references: [] };
const HEAD = '{"timestamp":"2016-07-13T23:02:07.199672+0000","flow_id":1374724542169090,"pcap_cnt":7,';
const ENDS = '"in_iface":"tap0","src_ip":"10.77.0.66","src_port":40000,"dest_ip":"10.77.0.10","dest_port":80,"proto":"TCP","src_vm":"attacker","dest_vm":"web","pkt_src":"wire/pcap"';

test('alert', (t) => {
  const { eve, lines, marked } = writer();
  eve.alert(packet(), FLOW, SIGNATURE, true, null, true);
  t.deepEqual(JSON.parse(lines[0]!.line), {
    ...JSON.parse(`${HEAD}"event_type":"alert",${ENDS}}`),
    alert: { action: 'blocked', gid: 1, signature_id: 9, rev: 2, signature: 'an attack', category: 'Attempted Admin', severity: 1, metadata: { cve: ['CVE_2021_44228'] } },
    generation: 1,
    app_proto: 'http',
    direction: 'to_server',
    stream: 1,
  });
  t.true(lines[0]!.line.startsWith(`${HEAD}"event_type":"alert",${ENDS}`), 'in the order Suricata writes the shared fields');
  t.true(lines[0]!.keep, 'an alert that blocked is never shed');
  t.deepEqual(marked, [3]);
  t.is(eve.alertsBlocked, 1);
  eve.alert(packet(), FLOW, SIGNATURE, false, null, false);
  t.false(lines[1]!.keep);
});

test('drop by a signature', (t) => {
  const { eve, lines } = writer();
  const view = packet();
  Object.assign(view, { reason: DropReason.ips_rule, ruleGid: 1, ruleSid: 9 });
  eve.drop(view, FLOW);
  const { drop, alert } = JSON.parse(lines[0]!.line) as { drop: object; alert: object };
  t.like(drop, { len: 100, ttl: 64, tcpseq: 4_294_967_295, tcpack: 5, tcpwin: 512, syn: false, ack: true, psh: true, rst: false, urg: false, fin: false, reason: 'ips_rule', stage: 'ips' });
  t.like(alert, { action: 'blocked', gid: 1, signature_id: 9 });
  t.true(lines[0]!.keep);
});

test('drop by a firewall rule names it, unless the rule is silent', (t) => {
  const { eve, lines } = writer({ host: 'here' });
  const view = packet();
  Object.assign(view, { reason: DropReason.firewall_deny, ruleGid: 3, ruleSid: 1 });
  eve.drop(view, FLOW);
  const event = JSON.parse(lines[0]!.line) as { host: string; drop: object };
  t.is(event.host, 'here');
  t.like(event.drop, { reason: 'firewall_deny', stage: 'firewall' });
  t.true(lines[0]!.line.includes('rule 1'));
  view.ruleSid = 2;
  eve.drop(view, FLOW);
  t.is(lines.length, 1);
});

test('drops that no rule explains are limited per second, those of rules are not', (t) => {
  const { eve, lines } = writer();
  const view = packet();
  view.reason = DropReason.ct_invalid;
  for (let i = 0; i < 10; i++) eve.drop(view, null);
  t.is(lines.length, 2);
  t.is(eve.dropsSampled, 8);
  Object.assign(view, { reason: DropReason.ips_rule, ruleGid: 1, ruleSid: 9 });
  for (let i = 0; i < 10; i++) eve.drop(view, null);
  t.is(lines.length, 12);
  Object.assign(view, { reason: DropReason.ct_invalid, ruleGid: 0, ruleSid: 0, tsSec: view.tsSec + 1 });
  eve.drop(view, null);
  t.is(lines.length, 13, 'the next second has its own');
});

test('a transaction is logged from the client\'s side, whoever sent the last packet', (t) => {
  const { eve, lines } = writer();
  const answer = packet();
  Object.assign(answer, { ingress: 1, egress: 0, flowDir: 1, srcPort: 80, dstPort: 40_000, src0: packet().dst0, dst0: packet().src0 });
  eve.transaction(answer, FLOW, { type: 'http', toServer: true, body: { hostname: 'x', url: '/', http_method: 'GET', status: 200 } });
  t.like(JSON.parse(lines[0]!.line) as object, { event_type: 'http', src_ip: '10.77.0.66', src_port: 40_000, dest_port: 80, src_vm: 'attacker', dest_vm: 'web', http: { status: 200 } });
});

test('types that nobody asked for are not written; counters count all the same', (t) => {
  const { eve, lines } = writer({ types: new Set(['http']) });
  eve.alert(packet(), FLOW, SIGNATURE, false, null, false);
  eve.drop(packet(), FLOW);
  eve.stats(1, 2, {});
  t.deepEqual(lines, []);
  t.is(eve.alertsAllowed, 1);
});

test('firewall rules that ask for it raise an alert and show the packet', (t) => {
  const { eve, lines } = writer();
  const view = packet();
  view.buf = Uint8Array.from([1, 2, 3, 4]);
  view.end = 4;
  view.reason = DropReason.firewall_deny;
  view.ruleGid = 3;
  view.ruleSid = 1;
  eve.drop(view, FLOW);
  t.is(lines.length, 1, 'rule 1 asks for nothing');
  t.false(lines[0]!.line.includes('"packet"'));
  view.ruleSid = 3;
  eve.drop(view, FLOW);
  eve.firewall(view, 'firewall', { action: 'logged' }, 3);
  const events = lines.slice(1).map(({ line }) => JSON.parse(line) as { event_type: string; packet?: string; packet_info?: { linktype: number }; alert?: { action: string; gid: number; signature_id: number; signature: string } });
  t.deepEqual(events.map((e) => e.event_type), ['drop', 'alert', 'firewall', 'alert']);
  for (const e of events) t.deepEqual([e.packet, e.packet_info?.linktype], ['AQIDBA==', 1]);
  t.deepEqual(events.map((e) => e.alert?.action), [undefined, 'blocked', undefined, 'allowed']);
  t.deepEqual([events[1]!.alert!.gid, events[1]!.alert!.signature_id, events[1]!.alert!.signature], [3, 3, 'firewall rule rule 3']);
  t.deepEqual([eve.alertsBlocked, eve.alertsAllowed], [1, 1]);
});
