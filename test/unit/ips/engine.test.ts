import test from 'ava';
import { StreamEvents } from '../../../src/flow/index.js';
import { CtState, DropReason, Verdict } from '../../../src/pipeline/index.js';
import { PortPolicies, selectRules, type RuleBitmaps } from '../../../src/ips/index.js';
import { RuleKind } from '../../../src/ips/rule.js';
import { engine, feed, newFlow, packet, PROTO_UDP, segment, TestTransaction } from './helper.js';

const UDP = { proto: PROTO_UDP };

test('content in a datagram', (t) => {
  const { ips, events } = engine('alert udp any any -> any any (content:"evil"; sid:1;)');
  t.is(ips.inspect(packet({ ...UDP, payload: 'an EVIL thing' }), null), Verdict.NONE);
  t.deepEqual(events.take(), []);
  ips.inspect(packet({ ...UDP, payload: 'an evil thing' }), null);
  t.deepEqual(events.take(), [1]);
  ips.inspect(packet({ payload: 'an evil thing' }), null);
  t.deepEqual(events.take(), [], 'TCP is not UDP');
});

test('drop names the rule; the packet alone is dropped when the match is of the packet', (t) => {
  const { ips, events } = engine('drop udp any any -> any 53 (content:"evil"; sid:7; gid:3;)');
  const flow = newFlow(PROTO_UDP);
  const view = packet({ ...UDP, payload: 'evil', dport: 53 });
  t.is(ips.inspect(view, flow), Verdict.DROP);
  t.is(view.reason, DropReason.ips_rule);
  t.is(view.ruleSid, 7);
  t.is(view.ruleGid, 3);
  t.true(events.alerts[0]!.blocked);
  t.is(ips.inspect(packet({ ...UDP, payload: 'good', dport: 53 }), flow), Verdict.NONE);
});

test('ids mode: drop allows, reject says blocked', (t) => {
  const { ips, events } = engine('drop udp any any -> any any (content:"a"; sid:1;)\nreject udp any any -> any any (content:"b"; sid:2;)', { mode: 'ids' });
  t.is(ips.inspect(packet({ ...UDP, payload: 'a' }), null), Verdict.NONE);
  t.is(ips.inspect(packet({ ...UDP, payload: 'b' }), null), Verdict.NONE);
  t.deepEqual(events.alerts.map((alert) => [alert.sid, alert.blocked]), [[1, false], [2, true]]);
});

test('a stream match drops the flow, and later packets name the rule', (t) => {
  const { ips, events } = engine('drop tcp any any -> any any (content:"attack"; sid:9;)');
  const flow = newFlow();
  t.is(segment(ips, flow, 'xx att'), Verdict.NONE);
  t.is(segment(ips, flow, 'ack yy'), Verdict.DROP_FLOW);
  t.deepEqual(events.alerts, [{ sid: 9, blocked: true, fromStream: true, tx: false }]);
  const view = packet({ dir: 1, payload: 'reply' });
  t.is(ips.inspect(view, flow), Verdict.DROP);
  t.is(view.reason, DropReason.flow_dropped);
  t.is(view.ruleSid, 9);
  ips.release(flow);
  t.is(flow.detect, null);
});

test('stream rule with its pattern first and the rest later', (t) => {
  const { ips, events } = engine('alert tcp any any -> any any (content:"longpattern"; content:"b"; distance:0; sid:1;)');
  const flow = newFlow();
  segment(ips, flow, '..longpattern..');
  t.deepEqual(events.take(), []);
  segment(ips, flow, '....');
  t.deepEqual(events.take(), []);
  segment(ips, flow, '..b');
  t.deepEqual(events.take(), [1]);
  segment(ips, flow, 'more');
  t.deepEqual(events.take(), [1], 'inline, as long as the match is in the window');
  segment(ips, flow, '.'.repeat(3000));
  t.deepEqual(events.take(), [], 'which ends with the newest 2560 bytes');
});

test('passive: streams are judged in pieces, of what was acknowledged; packet and stream apart', (t) => {
  const { ips, events } = engine(
    `alert tcp any any -> any any (content:"abc"; sid:1;)
alert tcp any any -> any any (content:"abc"; depth:3; sid:2;)
alert tcp-pkt any any -> any any (content:"abc"; sid:3;)`,
    { mode: 'ids', passive: true, onAck: true },
  );
  const flow = newFlow();
  segment(ips, flow, 'abc');
  t.deepEqual(events.take(), [2, 3], 'the packet by itself');
  segment(ips, flow, '.'.repeat(3000));
  t.deepEqual(events.take(), [], 'nothing is acknowledged');
  flow.toServer.acked = 3003;
  ips.inspect(packet({}), flow);
  t.deepEqual(events.take(), [1, 2]);
  segment(ips, flow, 'abc');
  flow.toServer.acked = 3006;
  ips.inspect(packet({}), flow);
  t.deepEqual(events.take(), [2, 3], 'too little for a piece');
  flow.toServer.flushRaw = true;
  ips.inspect(packet({}), flow);
  t.deepEqual(events.take(), [1], 'the parser saw an end; what alerted before is used up');
  segment(ips, flow, 'abc');
  t.deepEqual(events.take(), [2, 3]);
  ips.inspectEnd(packet({}), flow);
  t.deepEqual(events.take(), [1, 2], 'the flow is over; a depth means the piece, too');
});

test('passive: what stands before a gap is judged before it goes', (t) => {
  const { ips, events } = engine('alert tcp any any -> any any (content:"abc"; flow:to_server; sid:1;)', { mode: 'ids', passive: true, onAck: true });
  const flow = newFlow();
  segment(ips, flow, 'abc');
  ips.inspectBeforeGap(packet({ dir: 1 }), flow, 0);
  t.deepEqual(events.take(), [1]);
});

test('bytes the stream did not take are looked at in the packet', (t) => {
  const streamEvents = new StreamEvents();
  const { ips, events } = engine('alert tcp any any -> any any (content:"abc"; sid:1;)', { streamEvents });
  const flow = newFlow();
  ips.inspect(packet({ payload: 'abc', flags: 0x02 }), flow);
  t.deepEqual(events.take(), [1], 'data on a SYN');
  feed(flow, 0, 'xyz');
  ips.inspect(packet({ payload: 'abc' }), flow);
  t.deepEqual(events.take(), [], 'a repetition of known bytes');
  streamEvents.outOfWindow = true;
  ips.inspect(packet({ payload: 'abc' }), flow);
  t.deepEqual(events.take(), [1]);
});

test('application-layer events reach a passive engine with the acknowledgement that brought them about', (t) => {
  const packetEvents: string[] = [];
  const { ips, events } = engine('alert tcp any any -> any any (app-layer-event:applayer_mismatch_protocol_both_directions; sid:1;)', { mode: 'ids', passive: true, onAck: true, packetEvents });
  const flow = newFlow();
  packetEvents.push('applayer_mismatch_protocol_both_directions');
  ips.inspect(packet({ dir: 1 }), flow);
  packetEvents.length = 0;
  ips.inspect(packet({ dir: 1 }), flow);
  t.deepEqual(events.take(), []);
  ips.inspect(packet({ dir: 0 }), flow);
  ips.inspect(packet({ dir: 0 }), flow);
  t.deepEqual(events.take(), [1]);
});

test('depth counts from the start of the stream; tcp-pkt and dsize look at packets', (t) => {
  const { ips, events } = engine(`alert tcp any any -> any any (content:"GET"; depth:3; sid:1;)
alert tcp-pkt any any -> any any (content:"pk"; sid:2;)
alert tcp any any -> any any (content:"pk"; dsize:2; sid:3;)
alert tcp-stream any any -> any any (content:"et"; sid:4;)`);
  const flow = newFlow();
  segment(ips, flow, 'GETp');
  t.deepEqual(events.take(), [1]);
  segment(ips, flow, 'k');
  t.deepEqual(events.take(), [1]);
  segment(ips, flow, 'pk');
  t.deepEqual(events.take().sort(), [1, 2, 3]);
  segment(ips, flow, 'e');
  segment(ips, flow, 't');
  t.deepEqual(events.take(), [1, 1, 4]);
});

test('without a stream the packet is looked at', (t) => {
  const { ips, events } = engine('alert tcp any any -> any any (content:"attack"; sid:1;)');
  ips.inspect(packet({ payload: 'attack' }), null);
  t.deepEqual(events.take(), [1]);
  const flow = newFlow();
  flow.toServer.stopped = true;
  ips.inspect(packet({ payload: 'attack' }), flow);
  t.deepEqual(events.take(), [1]);
});

test('pass ends it, whatever the file order; alert order is by action', (t) => {
  const { ips, events } = engine(`alert udp any any -> any any (content:"a"; sid:1;)
drop udp any any -> any any (content:"a"; sid:2;)
pass udp any any -> any any (content:"ab"; sid:3;)`);
  t.is(ips.inspect(packet({ ...UDP, payload: 'ab' }), null), Verdict.PASS);
  t.deepEqual(events.take(), []);
  t.is(ips.inspect(packet({ ...UDP, payload: 'a' }), null), Verdict.DROP);
  t.deepEqual(events.alerts.map((alert) => [alert.sid, alert.blocked]), [[2, true], [1, false]]);
});

test('noalert: no event, the action stays', (t) => {
  const { ips, events } = engine('drop udp any any -> any any (content:"a"; noalert; sid:1;)\nalert udp any any -> any any (content:"b"; noalert; sid:2;)\npass udp any any -> any any (content:"c"; alert; sid:3;)');
  t.is(ips.inspect(packet({ ...UDP, payload: 'a' }), null), Verdict.DROP);
  t.is(ips.inspect(packet({ ...UDP, payload: 'b' }), null), Verdict.NONE);
  t.deepEqual(events.take(), []);
  t.is(ips.inspect(packet({ ...UDP, payload: 'c' }), null), Verdict.PASS);
  t.deepEqual(events.take(), [3]);
});

test('fifteen alerts per packet', (t) => {
  const rules = Array.from({ length: 20 }, (_, i) => `alert udp any any -> any any (content:"a"; sid:${i + 1};)`).join('\n');
  const { ips, events } = engine(rules);
  ips.inspect(packet({ ...UDP, payload: 'a' }), null);
  t.deepEqual(events.take(), Array.from({ length: 15 }, (_, i) => i + 1));
  t.is(ips.counters.alertsDiscarded, 5);
});

test('header-only rules once per flow and direction, packet rules every time', (t) => {
  const { ips, events } = engine(`alert ip any any -> any any (sid:1;)
alert tcp any any -> any 80 (flags:S; sid:2;)
alert tcp any any -> any any (flow:to_client; sid:3;)`);
  const flow = newFlow();
  ips.inspect(packet({ flags: 2 }), flow);
  t.deepEqual(events.take().sort(), [1, 2]);
  ips.inspect(packet({ flags: 2 }), flow);
  t.deepEqual(events.take(), [2]);
  ips.inspect(packet({ dir: 1 }), flow);
  t.deepEqual(events.take().sort(), [1, 3]);
  ips.inspect(packet({ dir: 1 }), flow);
  t.deepEqual(events.take(), [3]);
});

test('addresses, ports, negation, variables, both directions', (t) => {
  const { ips, events } = engine(`alert tcp $HOME_NET any -> any 80 (flags:S; sid:1;)
alert tcp $EXTERNAL_NET any -> any any (flags:S; sid:2;)
alert tcp any any -> any !80 (flags:S; sid:3;)
alert tcp 10.0.0.5 80 <> 192.168.1.0/24 [30000:50000] (flags:S; sid:4;)
alert tcp any any -> [10.0.0.0/8,!10.0.0.5] any (flags:S; sid:5;)`);
  ips.inspect(packet({ flags: 2 }), null);
  t.deepEqual(events.take(), [1, 4]);
  ips.inspect(packet({ flags: 2, src: 0x08080808, dport: 81, dst: 0x0a000006 }), null);
  t.deepEqual(events.take().sort(), [2, 3, 5]);
});

test('IPv6 addresses', (t) => {
  const { ips, events } = engine('alert ip 2001:db8::/32 any -> any any (dsize:>0; sid:1;)\nalert ipv6 any any -> ![fe80::/10] any (dsize:>0; sid:2;)\nalert ipv4 any any -> any any (dsize:>0; sid:3;)');
  const view = packet({ ...UDP, payload: 'x' });
  view.ipVersion = 6;
  view.src0 = 0x20010db8;
  view.src3 = 1;
  view.dst0 = 0xfe800000 | 0;
  ips.inspect(view, null);
  t.deepEqual(events.take(), [1]);
  view.src0 = 0x20010db9;
  view.dst0 = 0x20010000;
  ips.inspect(view, null);
  t.deepEqual(events.take(), [2]);
});

test('flow states and fragments', (t) => {
  const { ips, events } = engine(`alert udp any any -> any any (flow:established; content:"x"; sid:1;)
alert udp any any -> any any (flow:not_established; content:"x"; sid:2;)
alert udp any any -> any any (flow:to_server,established; content:"x"; sid:3;)
alert udp any any -> any any (flow:from_server; content:"x"; sid:4;)`);
  const flow = newFlow(PROTO_UDP);
  ips.inspect(packet({ ...UDP, payload: 'x', established: false }), flow);
  t.deepEqual(events.take(), [2]);
  ips.inspect(packet({ ...UDP, payload: 'x' }), flow);
  t.deepEqual(events.take(), [1, 3]);
  const back = packet({ ...UDP, payload: 'x', dir: 1 });
  t.is(back.ctState, CtState.ESTABLISHED);
  ips.inspect(back, flow);
  t.deepEqual(events.take(), [1, 4]);
  ips.inspect(packet({ ...UDP, payload: 'x', flowId: -1 }), null);
  t.deepEqual(events.take(), [1], 'rules with a direction need a flow');
});

test('flowbits: set, isset, isnotset, toggle, unset, lists; readers see what setters did to the same packet', (t) => {
  const { ips, events } = engine(`alert udp any any -> any any (flowbits:isset,one; content:"x"; sid:1;)
alert udp any any -> any any (flowbits:set,one; flowbits:noalert; content:"set"; sid:2;)
alert udp any any -> any any (flowbits:isnotset,one; content:"x"; sid:3;)
alert udp any any -> any any (flowbits:unset,one; flowbits:noalert; content:"unset"; sid:4;)
alert udp any any -> any any (flowbits:isset,two|one; content:"x"; sid:5;)
alert udp any any -> any any (flowbits:toggle,two; noalert; content:"tog"; sid:6;)`);
  const flow = newFlow(PROTO_UDP);
  const send = (payload: string): number[] => {
    ips.inspect(packet({ ...UDP, payload }), flow);
    return events.take().sort();
  };
  t.deepEqual(send('x'), [3]);
  t.deepEqual(send('x set'), [1, 5]);
  t.deepEqual(send('x'), [1, 5]);
  t.deepEqual(send('unset'), []);
  t.deepEqual(send('x'), [3]);
  t.deepEqual(send('tog'), []);
  t.deepEqual(send('x'), [3, 5]);
  t.deepEqual(send('tog'), []);
  t.deepEqual(send('x'), [3]);
});

test('flowint and xbits', (t) => {
  const { ips, events } = engine(`alert udp any any -> any any (content:"n"; flowint:n,+,1; noalert; sid:1;)
alert udp any any -> any any (content:"q"; flowint:n,>=,2; sid:2;)
alert udp any any -> any any (content:"q"; flowint:n,notset; sid:3;)
alert udp any any -> any any (content:"m"; xbits:set,bad,track ip_src,expire 10; noalert; sid:4;)
alert udp any any -> any any (content:"q"; xbits:isset,bad,track ip_src; sid:5;)
alert udp any any -> any any (content:"q"; hostbits:isset,hb; sid:6;)
alert udp any any -> any any (content:"h"; hostbits:set,hb; noalert; sid:7;)`);
  const flow = newFlow(PROTO_UDP);
  const send = (payload: string, time = 1000, to = flow, src = 0xc0a8010a): number[] => {
    ips.inspect(packet({ ...UDP, payload, time, src }), to);
    return events.take().sort();
  };
  t.deepEqual(send('q'), [3]);
  send('n');
  t.deepEqual(send('q'), []);
  send('n');
  t.deepEqual(send('q'), [2]);
  send('m');
  t.deepEqual(send('q', 1009, newFlow(PROTO_UDP)), [3, 5]);
  t.deepEqual(send('q', 1009, newFlow(PROTO_UDP), 0x01020304), [3]);
  t.deepEqual(send('q', 1011, newFlow(PROTO_UDP)), [3]);
  send('h');
  t.deepEqual(send('q', 1011, newFlow(PROTO_UDP)), [3, 6]);
});

test('thresholds', (t) => {
  const { ips, events } = engine(`alert udp any any -> any any (content:"l"; threshold:type limit, track by_src, count 2, seconds 10; sid:1;)
alert udp any any -> any any (content:"t"; threshold:type threshold, track by_dst, count 3, seconds 10; sid:2;)
alert udp any any -> any any (content:"b"; threshold:type both, track by_src, count 2, seconds 10; sid:3;)
alert udp any any -> any any (content:"f"; detection_filter:track by_src, count 2, seconds 10; sid:4;)
drop udp any any -> any any (content:"d"; threshold:type limit, track by_src, count 1, seconds 10; sid:5;)`);
  const count = (payload: string, times: number, start = 1000): number => {
    for (let i = 0; i < times; i++) ips.inspect(packet({ ...UDP, payload, time: start + i }), null);
    return events.take().length;
  };
  t.is(count('l', 5), 2);
  t.is(count('l', 1, 1010), 0, 'the window is inclusive');
  t.is(count('l', 1, 1011), 1);
  t.is(count('t', 7), 2);
  t.is(count('b', 6), 1);
  t.is(count('f', 6), 4);
  t.is(count('d', 3), 1);
  t.is(ips.inspect(packet({ ...UDP, payload: 'd', time: 1004 }), null), Verdict.DROP, 'limited alerts still drop');
});

test('rules per port, and modes', (t) => {
  const { ips, events, rules } = engine('drop udp any any -> any any (content:"a"; sid:1;)\ndrop udp any any -> any any (content:"a"; sid:2;)');
  const only = (sid: number): RuleBitmaps => selectRules(rules, { base: 'none', rules: [{ enable: { sid: [sid] } }] });
  ips.ports.set(0, PortPolicies.PREVENT, only(1));
  ips.ports.set(1, PortPolicies.DETECT, only(2));
  ips.ports.set(2, PortPolicies.OFF, null);
  const send = (ingress: number, egress: number): number => {
    const view = packet({ ...UDP, payload: 'a' });
    view.ingress = ingress;
    view.egress = egress;
    return ips.inspect(view, null);
  };
  t.is(send(0, -2), Verdict.DROP);
  t.deepEqual(events.take(), [1]);
  t.is(send(1, -2), Verdict.NONE);
  t.deepEqual(events.take(), [2]);
  t.is(send(1, 0), Verdict.DROP);
  t.deepEqual(events.take(), [1, 2]);
  t.is(send(2, -2), Verdict.NONE);
  t.deepEqual(events.take(), []);
  t.is(send(2, -1), Verdict.DROP, 'a frame to many ports goes to the strictest of them, too');
  t.deepEqual(events.take(), [1, 2]);
  ips.ports.set(2, PortPolicies.OFF, null, true);
  t.is(send(2, -1), Verdict.NONE, 'a passive port sends nothing on');
  t.deepEqual(events.take(), []);
});

test('transaction rules: buffers, progress, once per transaction', (t) => {
  const { ips, events } = engine(`alert http any any -> any any (http.uri; content:"/etc/passwd"; sid:1;)
alert http any any -> any any (http.uri; content:"/x"; http.header; content:"evil"; sid:2;)
alert http any any -> any any (http.stat_code; content:"200"; sid:3;)
alert tcp any any -> any any (content:"GET"; http_method; sid:4;)
alert http any any -> any any (http.uri; bsize:<3; sid:5;)`);
  const flow = newFlow(6, 1);
  const tx = new TestTransaction().set('http.uri', '/x/etc/passwd').set('http.method', 'GET');
  flow.transactions.push(tx);
  tx.progressToServer = 1;
  ips.inspect(packet({ payload: 'p' }), flow);
  t.deepEqual(events.take().sort(), [1, 4]);
  ips.inspect(packet({ payload: 'p' }), flow);
  t.deepEqual(events.take(), [], 'not touched, not judged');
  tx.progressToServer = 2;
  tx.set('http.header', 'X: evil');
  tx.dirtyToServer = true;
  ips.inspect(packet({ payload: 'p' }), flow);
  t.deepEqual(events.take(), [2], 'what matched stays matched, and alerts once');
  tx.set('http.stat_code', '200');
  tx.progressToClient = 1;
  tx.doneToServer = true;
  tx.doneToClient = true;
  tx.dirtyToServer = true;
  tx.dirtyToClient = true;
  ips.inspect(packet({ payload: 'p' }), flow);
  ips.inspect(packet({ payload: 'p', dir: 1 }), flow);
  t.deepEqual(events.alerts, [{ sid: 3, blocked: false, fromStream: false, tx: true }]);
  ips.release(flow);
});

test('a body that grows: found across pieces, and at the end', (t) => {
  const { ips, events } = engine('drop http any any -> any any (http.request_body; content:"attack"; content:"now"; distance:1; sid:1;)\nalert http any any -> any any (http.request_body; bsize:>20; sid:2;)');
  const flow = newFlow(6, 1);
  const tx = new TestTransaction();
  tx.growing.add('http.request_body');
  tx.progressToServer = 3;
  flow.transactions.push(tx);
  let body = '';
  const more = (text: string): number => {
    body += text;
    tx.set('http.request_body', body);
    tx.dirtyToServer = true;
    return ips.inspect(packet({ payload: text }), flow);
  };
  t.is(more('..att'), Verdict.NONE);
  t.is(more('ack..'), Verdict.NONE);
  t.is(more('..now'), Verdict.DROP_FLOW);
  t.deepEqual(events.take(), [1]);
});

test('several instances, transforms, negation, urilen, base64', (t) => {
  const { ips, events } = engine(`alert dns any any -> any any (dns.query; content:"evil.com"; bsize:8; sid:1;)
alert dns any any -> any any (dns.query; dotprefix; content:".evil.com"; endswith; sid:2;)
alert dns any any -> any any (dns.query; content:!"good"; sid:3;)
alert dns any any -> any any (dns.query; to_sha256; content:"|00|"; startswith; sid:4;)
alert dns any any -> any any (dns.query; base64_decode:bytes 8, relative; base64_data; content:"hello"; sid:5;)`);
  const ask = (...names: string[]): number[] => {
    const flow = newFlow(PROTO_UDP, 2);
    const tx = new TestTransaction().set('dns.query', ...names);
    tx.doneToServer = true;
    flow.transactions.push(tx);
    ips.inspect(packet({ ...UDP, payload: 'q', dport: 53 }), flow);
    return events.take().sort();
  };
  t.deepEqual(ask('good.com', 'evil.com'), [1, 2, 3]);
  t.deepEqual(ask('goodevil.com'), []);
  t.deepEqual(ask('a.good.evil.com'), [2]);
  t.deepEqual(ask('aGVsbG8h'), [3, 5]);
});

test('application protocol in the header; app-layer-protocol; app-layer-event', (t) => {
  const { ips, events } = engine(`alert http any any -> any any (flow:established; sid:1;)
alert tcp any any -> any any (app-layer-protocol:http; sid:2;)
alert tcp any any -> any 80 (app-layer-protocol:!http; sid:3;)
alert http any any -> any any (app-layer-event:http.unable_to_match_response_to_request; sid:4;)`);
  const flow = newFlow();
  ips.inspect(packet({}), flow);
  t.deepEqual(events.take(), []);
  flow.app = 1;
  feed(flow, 0, 'GET ');
  const tx = new TestTransaction();
  tx.addEvent('http.unable_to_match_response_to_request');
  flow.transactions.push(tx);
  ips.inspect(packet({}), flow);
  t.deepEqual(events.take().sort(), [1, 2, 4]);
  ips.inspect(packet({}), flow);
  t.deepEqual(events.take(), [1]);
  flow.app = 3;
  ips.inspect(packet({}), flow);
  t.deepEqual(events.take(), []);
  const other = newFlow(6, 3);
  ips.inspect(packet({}), other);
  t.deepEqual(events.take(), [], 'this direction has not sent anything');
  feed(other, 0, 'x');
  ips.inspect(packet({}), other);
  t.deepEqual(events.take(), [3]);
});

test('a passive engine knows the protocol once the receiver has acknowledged something', (t) => {
  const { ips, events } = engine(
    `alert http any any -> any any (sid:1;)
alert tcp any any -> any any (app-layer-protocol:http; flow:stateless; sid:2;)`,
    { mode: 'ids', passive: true, onAck: true },
  );
  const flow = newFlow(6, 1);
  segment(ips, flow, 'GET ');
  t.deepEqual(events.take(), []);
  flow.toServer.acked = 4;
  ips.inspect(packet({ dir: 1 }), flow);
  t.deepEqual(events.take(), [1], 'the other direction is still silent');
  ips.inspect(packet({}), flow);
  t.deepEqual(events.take(), [1, 2]);
});

test('rule types: what is judged once per flow, and what acts on it', (t) => {
  const type = (options: string, header = 'tcp any any -> any any'): string => {
    const rule = engine(`alert ${header} (${options} sid:1;)`).rules.rules[0]!;
    return `${Object.keys(RuleKind).find((name) => RuleKind[name as keyof typeof RuleKind] === rule.kind)!}${rule.flowAction ? ' flow' : ''}`;
  };
  const once = 'IP_ONLY flow';
  for (const options of ['', 'flowbits:set,a;', 'flowint:a,+,1;', 'xbits:isset,a,track ip_src;', 'noalert;', 'ip_proto:6;', 'threshold:type limit, track by_src, seconds 1, count 2;']) t.is(type(options), once, options);
  for (const header of ['udp any any -> any 53', 'icmp any any -> any any', 'ip any any -> any any']) t.is(type('', header), once, header);
  for (const options of ['flow:established;', 'flow:to_server;', 'flowbits:isset,a;', 'flowbits:unset,a;', 'bypass;', 'sameip;', 'ttl:5;', 'app-layer-protocol:http; flow:established;']) t.is(type(options), 'PACKET', options);
  t.is(type('', 'tcp any any -> !10.0.0.1 any'), 'PACKET flow', 'negated address');
  t.is(type('', 'tcp $HOME_NET any -> $EXTERNAL_NET any'), 'PACKET flow', 'negated in a variable');
  t.is(type('', 'http any any -> any any'), 'PACKET flow');
  t.is(type('flow:established;', 'http any any -> any any'), 'PACKET');
  for (const options of ['app-layer-protocol:http;', 'app-layer-protocol:http; flow:to_server;', 'app-layer-protocol:http; flowbits:set,a;']) t.is(type(options), 'PROTOCOL_ONLY flow', options);
});

test('the end of a flow judges what is left', (t) => {
  const { ips, events } = engine('alert http any any -> any any (http.uri; content:"/a"; http.header; content:!"host"; sid:1;)');
  const flow = newFlow(6, 1);
  const tx = new TestTransaction().set('http.uri', '/a').set('http.header', 'x: y');
  tx.progressToServer = 1;
  flow.transactions.push(tx);
  ips.inspect(packet({ payload: 'p' }), flow);
  t.deepEqual(events.take(), []);
  ips.inspectEnd(packet({}), flow);
  t.deepEqual(events.take(), [1]);
});

test('bypass and pass of a flow end inspection', (t) => {
  const { ips, events } = engine(`alert tcp any any -> any any (content:"stop"; bypass; sid:1;)
alert tcp any any -> any any (content:"x"; sid:2;)
pass tcp any any -> any any (content:"trusted"; sid:3;)`);
  const flow = newFlow();
  t.is(segment(ips, flow, 'stop'), Verdict.BYPASS);
  t.deepEqual(events.take(), [1]);
  t.is(segment(ips, flow, 'x'), Verdict.BYPASS);
  t.deepEqual(events.take(), []);
  t.is(flow.uninspected, 'bypass');
  const other = newFlow();
  t.is(segment(ips, other, 'trusted x'), Verdict.PASS);
  t.is(segment(ips, other, 'x'), Verdict.PASS);
  t.deepEqual(events.take(), []);
});

test('stream bytes are given free behind the window', (t) => {
  const { ips } = engine('alert tcp any any -> any any (content:"attack"; sid:1;)');
  const flow = newFlow();
  for (let i = 0; i < 10; i++) segment(ips, flow, '.'.repeat(1000));
  t.is(flow.toServer.inspected, 10_000 - 2560);
  const { ips: idle } = engine('alert udp any any -> any any (content:"attack"; sid:1;)');
  const other = newFlow();
  feed(other, 0, '.'.repeat(1000));
  idle.inspect(packet({ payload: 'x' }), other);
  t.is(other.toServer.inspected, 1000);
});

test('a transaction that a packet finishes in the other direction is judged before it is forgotten', (t) => {
  const { ips, events } = engine('drop http $HOME_NET any -> any 80 (http.uri; content:"/late"; sid:1;)');
  const flow = newFlow(6, 1);
  const tx = new TestTransaction().set('http.uri', '/late');
  tx.progressToServer = 1;
  tx.doneToServer = true;
  tx.doneToClient = true;
  flow.transactions.push(tx);
  const view = packet({ dir: 1, payload: 'answer' });
  t.is(ips.inspect(view, flow), Verdict.DROP_FLOW);
  t.is(view.ruleSid, 1);
  t.deepEqual(events.take(), [1]);
});

test('events of protocol detection belong to the packet', (t) => {
  const packetEvents: string[] = [];
  const { ips, events } = engine('alert tcp any any -> any any (app-layer-event:applayer_proto_detection_skipped; sid:1;)', { packetEvents });
  ips.inspect(packet(), newFlow());
  t.deepEqual(events.take(), []);
  packetEvents.push('applayer_proto_detection_skipped');
  ips.inspect(packet(), newFlow());
  t.deepEqual(events.take(), [1]);
});

test('a transaction outlives the change of protocol that it brings about', (t) => {
  const { ips, events } = engine('alert http any any -> any any (http.stat_code; content:"200"; sid:1;)');
  const flow = newFlow(6, 1);
  const tx = new TestTransaction().set('http.stat_code', '200');
  flow.transactions.push(tx);
  ips.inspect(packet({ payload: 'CONNECT' }), flow);
  tx.progressToClient = 1;
  tx.dirtyToClient = true;
  flow.app = 0;
  ips.inspect(packet({ dir: 1, payload: '200' }), flow);
  t.deepEqual(events.take(), [1]);
});

test('streams that are not inspected are let go', (t) => {
  const { ips } = engine('pass tcp any any -> any any (content:"trusted"; sid:1;)\nalert tcp any any -> any any (content:"zzz"; sid:2;)');
  const flow = newFlow();
  segment(ips, flow, 'trusted');
  segment(ips, flow, '.'.repeat(5000));
  t.is(flow.toServer.inspected, 5007);
  ips.ports.set(3, PortPolicies.OFF, null);
  const other = newFlow();
  feed(other, 0, '.'.repeat(5000));
  const view = packet({ payload: 'x' });
  view.ingress = 3;
  ips.inspect(view, other);
  t.is(other.toServer.inspected, 5000);
});

test('header-only and protocol rules act on the flow, packet tests on the packet', (t) => {
  const { ips } = engine('drop tcp any any -> any 81 (sid:1;)\ndrop tcp any any -> any 82 (flags:S; sid:2;)\ndrop http any any -> any any (sid:3;)');
  t.is(ips.inspect(packet({ dport: 81 }), newFlow()), Verdict.DROP_FLOW);
  t.is(ips.inspect(packet({ dport: 82, flags: 2 }), newFlow()), Verdict.DROP);
  t.is(ips.inspect(packet(), newFlow(6, 1)), Verdict.DROP_FLOW);
  const { ips: sized } = engine('drop http any any -> any any (dsize:0; sid:1;)');
  t.is(sized.inspect(packet(), newFlow(6, 1)), Verdict.DROP);
});

test('transforms count for the contents behind them; the same buffer can be looked at twice', (t) => {
  const { ips, events } = engine('alert http any any -> any any (http.uri; content:"/get?data="; startswith; http.uri; pcrexform:"data=(.*)"; xor:"01"; content:"abc"; sid:1;)');
  const flow = newFlow(6, 1);
  const tx = new TestTransaction().set('http.uri', '/get?data=`cb');
  tx.progressToServer = 1;
  flow.transactions.push(tx);
  ips.inspect(packet({ payload: 'p' }), flow);
  t.deepEqual(events.take(), [1]);
});

test('a header-only rule that sets a bit stays header-only', (t) => {
  const { ips, events } = engine('alert ip any any -> any any (flowbits:set,a; xbits:set,b,track ip_src; sid:1;)');
  const flow = newFlow();
  for (let i = 0; i < 3; i++) ips.inspect(packet(), flow);
  t.deepEqual(events.take(), [1]);
});
