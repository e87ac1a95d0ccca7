/** The protocols of single messages: what their buffers and numbers are, in any cut, and that no bytes make them throw. */
import fc from 'fast-check';
import test from 'ava';
import { TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { ProtocolRegistry, transactionsOf, type Transaction } from '../../../src/protocols/index.js';
import { fromHex } from '../../../src/util/index.js';
import { concat, Driver } from './driver.js';

const be = (value: number, bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** (bytes - 1 - i)) & 255);
const le = (value: number, bytes: number): Uint8Array => be(value, bytes).toReversed();
const zeros = (n: number): Uint8Array => new Uint8Array(n);
/** DER element with a short or two-byte length. */
const der = (tag: number, ...parts: (string | Uint8Array)[]): Uint8Array => {
  const body = concat(...parts);
  return concat(Uint8Array.of(tag), body.length < 128 ? be(body.length, 1) : concat(Uint8Array.of(0x82), be(body.length, 2)), body);
};
const int = (n: number): Uint8Array => der(2, be(n, n > 127 ? 2 : 1));

/** Keeps what the transactions said when they were there. */
class Watcher extends Driver {
  readonly seen = new Set<Transaction>();
  override look(): void {
    for (const tx of transactionsOf(this.flow)) this.seen.add(tx);
    super.look();
  }
  numbers(name: string, dir: number): number[] {
    return [...this.seen].flatMap((tx) => tx.integers(name, dir) ?? tx.integer(name, dir)).filter((n) => n >= 0);
  }
}

const dhcp = (...options: Uint8Array[]): Uint8Array =>
  concat(Uint8Array.of(2, 1, 6, 0), be(0x3903f326, 4), zeros(8), Uint8Array.of(10, 0, 0, 9), zeros(8), fromHex('000bcdef0102'), zeros(10), zeros(192), fromHex('63825363'), ...options);

test('dhcp: times, and options that do not end', (t) => {
  const d = new Watcher(67);
  d.datagram(TO_CLIENT, dhcp(fromHex('350105'), fromHex('3304'), be(3600, 4), fromHex('3a04'), be(1800, 4), fromHex('3b04'), be(3150, 4), fromHex('00ff')));
  t.is(d.flow.appProto, 'dhcp');
  t.deepEqual(['dhcp.leasetime', 'dhcp.renewal_time', 'dhcp.rebinding_time'].map((name) => d.numbers(name, 1)), [[3600], [1800], [3150]]);
  t.deepEqual(d.records[0]!.body['dhcp_type'], 'ack');
  t.is(d.records[0]!.body['client_mac'], '00:0b:cd:ef:01:02');
  d.datagram(TO_CLIENT, dhcp(fromHex('3304000000')));
  d.datagram(TO_CLIENT, dhcp(fromHex('3302000000')));
  t.deepEqual([...d.txEvents], ['dhcp.truncated_options', 'dhcp.malformed_options']);
});

test('snmp: community, user of version 3, mixed versions', (t) => {
  const d = new Watcher(161);
  d.datagram(TO_SERVER, der(0x30, int(1), der(4, 'public'), der(0xa0, int(1), int(0), int(0), der(0x30))));
  t.is(d.flow.appProto, 'snmp');
  t.is(d.buffer('snmp.community'), 'public');
  t.deepEqual([d.numbers('snmp.version', 0), d.numbers('snmp.pdu_type', 0)], [[2], [0]]);
  const usm = der(4, der(0x30, der(4, 'engine'), int(1), int(2), der(4, 'admin'), der(4), der(4)));
  d.datagram(TO_CLIENT, der(0x30, int(3), der(0x30, int(7), int(1000), der(4, '\x03'), int(3)), usm, der(4, 'encrypted')));
  t.is(d.buffer('snmp.usm', TO_CLIENT, 1), 'admin');
  t.true(d.txEvents.has('snmp.version_mismatch'));
  d.datagram(TO_SERVER, 'rubbish');
  t.true(d.txEvents.has('snmp.malformed_data'));
});

test('tftp: requests only', (t) => {
  const d = new Watcher(69);
  d.datagram(TO_SERVER, '\0\x01boot.img\0OCTET\0');
  t.deepEqual(d.records.map((r) => r.body), [{ packet: 'read', file: 'boot.img', mode: 'octet' }]);
  d.datagram(TO_SERVER, '\0\x03\0\x01data');
  t.is(d.records.length, 1);
});

test('rdp: cookie and negotiation, any cut', (t) => {
  const request = concat('\x03\0\0\x2b\x26\xe0\0\0\0\0\0', 'Cookie: mstshash=user\r\n', '\x01\0\x08\0', le(3, 4));
  request[3] = request.length;
  const confirm = concat('\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0', '\x02\0\x08\0', le(1, 4));
  for (const step of [0, 1, 5]) {
    const d = new Watcher(3389);
    d.send(TO_SERVER, request, step);
    d.send(TO_CLIENT, confirm, step);
    d.send(TO_SERVER, '\x16\x03\x01encrypted', step);
    t.is(d.flow.appProto, 'rdp');
    t.is(d.flow.uninspected, 'encrypted');
    t.deepEqual(d.records.map((r) => r.body), [
      { tx_id: 0, event_type: 'initial_request', cookie: 'user', protocol: 3 },
      { tx_id: 1, event_type: 'initial_response', protocol: 1 },
    ]);
  }
});

const enip = (command: number, data: Uint8Array = zeros(0)): Uint8Array => concat(le(command, 2), le(data.length, 2), zeros(20), data);

test('enip: commands and CIP services, any cut, over TCP and UDP', (t) => {
  const read = Uint8Array.of(0x0e, 3, 0x20, 4, 0x24, 1, 0x30, 3);
  const multiple = concat(Uint8Array.of(0x0a, 2, 0x20, 2, 0x24, 1), le(1, 2), le(4, 2), Uint8Array.of(0x4c, 1, 0x20, 7));
  const items = (data: Uint8Array): Uint8Array => concat(zeros(6), le(2, 2), zeros(4), le(0xb2, 2), le(data.length, 2), data);
  const messages = concat(enip(0x63), enip(0x6f, items(read)), enip(0x6f, items(multiple)));
  for (const step of [0, 1, 7]) {
    const d = new Watcher(44818);
    d.send(TO_SERVER, messages, step);
    t.deepEqual(d.numbers('enip.command', 0), [0x63, 0x6f, 0x6f]);
    const services = [...d.seen].map((tx) => (tx as unknown as { services: unknown[] }).services);
    t.deepEqual(services[1], [{ service: 14, classId: 4, attribute: 3 }]);
    t.deepEqual(services[2], [{ service: 10, classId: 2, attribute: -1 }, { service: 0x4c, classId: 7, attribute: -1 }]);
  }
  const u = new Watcher(44818);
  u.datagram(TO_SERVER, enip(0x63));
  t.deepEqual(u.numbers('enip.command', 0), [0x63]);
});

const context = (n: number, ...parts: (string | Uint8Array)[]): Uint8Array => der(0xa0 + n, ...parts);
const principal = (...names: string[]): Uint8Array => der(0x30, context(0, int(1)), context(1, der(0x30, ...names.map((name) => der(0x1b, name)))));
const encrypted = (type: number): Uint8Array => der(0x30, context(0, int(type)), context(2, der(4, 'secret')));

test('krb5: names and encryption, any cut, over TCP and UDP', (t) => {
  const body = der(0x30, context(0, der(3, zeros(5))), context(1, principal('bob')), context(2, der(0x1b, 'REALM')), context(3, principal('krbtgt', 'REALM')), context(8, der(0x30, int(18), int(23))));
  const request = der(0x6a, der(0x30, context(1, int(5)), context(2, int(10)), context(4, body)));
  const ticket = der(0x61, der(0x30, context(0, int(5)), context(1, der(0x1b, 'REALM')), context(2, principal('krbtgt', 'REALM')), context(3, encrypted(23))));
  const reply = der(0x6b, der(0x30, context(0, int(5)), context(1, int(11)), context(3, der(0x1b, 'REALM')), context(4, principal('bob')), context(5, ticket), context(6, encrypted(18))));
  for (const step of [-1, 0, 1, 9]) {
    const d = new Watcher(88);
    if (step < 0) {
      d.datagram(TO_SERVER, request);
      d.datagram(TO_CLIENT, reply);
    } else {
      d.send(TO_SERVER, concat(be(request.length, 4), request), step);
      d.send(TO_CLIENT, concat(be(reply.length, 4), reply), step);
    }
    t.is(d.flow.appProto, 'krb5');
    t.deepEqual(d.numbers('krb5.msg_type', 0), [10, 11]);
    t.deepEqual([d.buffer('krb5.cname'), d.buffer('krb5.sname'), d.buffer('krb5.sname', TO_SERVER, 0, 1)], ['bob', 'krbtgt', 'REALM']);
    t.deepEqual(d.numbers('krb5.ticket_encryption', 1), [23]);
    t.deepEqual([...d.txEvents], ['krb5.weak_encryption']);
  }
});

const modbus = (id: number, unit: number, pdu: string): Uint8Array => {
  const data = fromHex(pdu);
  return concat(be(id, 2), zeros(2), be(data.length + 1, 2), Uint8Array.of(unit), data);
};

test('modbus: requests with their responses, any cut', (t) => {
  for (const step of [0, 1, 5]) {
    const d = new Watcher(502);
    d.send(TO_SERVER, concat(modbus(1, 10, '0100000002'), modbus(2, 10, '10000500020400010203')), step);
    d.send(TO_CLIENT, concat(modbus(1, 10, '010103'), modbus(2, 10, '9002'), modbus(9, 10, '0101')), step);
    t.is(d.flow.appProto, 'modbus');
    const [read, write] = [...d.seen] as unknown as { addressFrom: number; addressTo: number; values: number[]; exception: number }[];
    t.deepEqual([read!.addressFrom, read!.addressTo], [1, 2]);
    t.deepEqual([write!.addressFrom, write!.addressTo, write!.values, write!.exception], [6, 7, [1, 0x203], 2]);
    t.deepEqual([...d.txEvents], ['modbus.unsolicited_response']);
    t.is(d.flow.transactions.length, 0);
  }
});

test('modbus: a request that does not fit its function', (t) => {
  const d = new Watcher(502);
  d.send(TO_SERVER, concat(modbus(1, 1, '05000012ff'), modbus(2, 1, '0300000001'), modbus(3, 1, '03000000'), be(4, 2), be(7, 2), be(2, 2), be(0x0111, 2)));
  t.deepEqual([...d.txEvents], ['modbus.invalid_value', 'modbus.invalid_length', 'modbus.invalid_protocol_id']);
  t.is(d.flow.uninspected, 'parser-error');
});

function dnp3Crc(block: Uint8Array): Uint8Array {
  let crc = 0;
  for (const byte of block) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0xa6bc : crc >>> 1;
  }
  return le(~crc & 0xffff, 2);
}

function dnp3(control: number, user: Uint8Array): Uint8Array {
  const header = concat(fromHex('0564'), Uint8Array.of(user.length + 5, control), le(4, 2), le(3, 2));
  const parts: Uint8Array[] = [header, dnp3Crc(header)];
  for (let i = 0; i < user.length; i += 16) parts.push(user.subarray(i, i + 16), dnp3Crc(user.subarray(i, i + 16)));
  return concat(...parts);
}

test('dnp3: fragments over several frames, any cut', (t) => {
  const operate = fromHex('c005 0c0117 01 00 0301 64000000 64000000 00'.replaceAll(' ', ''));
  const frames = concat(dnp3(0xc4, concat(Uint8Array.of(0x40), operate.subarray(0, 6))), dnp3(0xc4, concat(Uint8Array.of(0x81), operate.subarray(6))));
  const response = dnp3(0x44, concat(Uint8Array.of(0xc0), fromHex('c0819000'), fromHex('010200000101')));
  for (const step of [0, 1, 11]) {
    const d = new Watcher(20000);
    d.send(TO_SERVER, frames, step);
    d.send(TO_CLIENT, response, step);
    t.is(d.flow.appProto, 'dnp3');
    t.deepEqual(d.numbers('dnp3.func', 0), [5, 0x81]);
    t.deepEqual(d.numbers('dnp3.ind', 1), [0x9000]);
    t.is(d.buffer('dnp3_data'), Buffer.from(operate).toString('latin1'));
    t.deepEqual([...d.txEvents], []);
  }
});

test('dnp3: bad CRCs, short frames, floods of points, unknown objects', (t) => {
  const request = (data: string): Uint8Array => dnp3(0xc4, concat(Uint8Array.of(0xc0), fromHex(`c002${data}`)));
  const broken = request('0102000000aa');
  broken[12]! ^= 1;
  const d = new Watcher(20000);
  d.send(TO_SERVER, concat(broken, request('01010900000100'), request('640100000100'), dnp3(0xc4, Uint8Array.of(0xc0))));
  t.deepEqual([...d.txEvents].toSorted(), ['dnp3.bad_transport_crc', 'dnp3.len_too_small', 'dnp3.too_many_points', 'dnp3.unknown_object']);
  const h = new Watcher(20000);
  const header = request('');
  header[8]! ^= 1;
  h.send(TO_SERVER, header);
  t.deepEqual([...h.txEvents], ['dnp3.bad_link_crc']);
});

test('rfb: handshake of versions 3.8 and 3.3, any cut', (t) => {
  const init = concat(zeros(20), be(4, 4), 'desk');
  const turns38: [number, string | Uint8Array][] = [[1, 'RFB 003.008\n'], [0, 'RFB 003.008\n'], [1, '\x01\x02'], [0, '\x02'], [1, 'c'.repeat(16)], [0, 'r'.repeat(16)], [1, be(0, 4)], [0, '\x01'], [1, init]];
  const turns33: [number, string | Uint8Array][] = [[1, 'RFB 003.003\n'], [0, 'RFB 003.003\n'], [1, be(1, 4)], [0, '\x01'], [1, init]];
  for (const step of [0, 1]) {
    for (const [turns, type, result] of [[turns38, 2, [0]], [turns33, 1, []]] as const) {
      const d = new Watcher(5901);
      for (const [dir, data] of turns) d.send(dir, data, step);
      t.is(d.flow.appProto, 'rfb');
      t.is(d.buffer('rfb.name', TO_CLIENT), 'desk');
      t.true(d.numbers('rfb.sectype', 0).every((n) => n === type));
      t.deepEqual([...new Set(d.numbers('rfb.secresult', 1))], [...result]);
      t.is(d.flow.uninspected, 'encrypted');
      t.is([...d.buffers.keys()].filter((key) => key.startsWith('frame.rfb.pdu')).length, turns.length);
    }
  }
});

const ikeHeader = (next: number, version: number, exchange: number, length: number, flags = 0): Uint8Array =>
  concat(fromHex('0102030405060708'), fromHex('1112131415161718'), Uint8Array.of(next, version, exchange, flags), zeros(4), be(length, 4));
const payload = (next: number, ...parts: (string | Uint8Array)[]): Uint8Array => {
  const body = concat(...parts);
  return concat(Uint8Array.of(next, 0), be(body.length + 4, 2), body);
};

test('ike: chosen attributes, vendors, weak proposals', (t) => {
  const transform = concat(payload(0, fromHex('01010000'), fromHex('80010007'), fromHex('80020002'), fromHex('000c000400015180')));
  const proposal = payload(0, Uint8Array.of(1, 1, 0, 1), transform);
  const body = concat(payload(13, be(1, 4), be(1, 4), proposal), payload(4, fromHex('4a131c81')), payload(10, 'KEY'), payload(0, 'nonce'));
  const d = new Watcher(500);
  d.datagram(TO_CLIENT, concat(ikeHeader(1, 0x10, 2, 28 + body.length), body));
  t.is(d.flow.appProto, 'ike');
  t.deepEqual(['alg_enc', 'alg_hash', 'sa_life_duration'].map((name) => d.numbers(`ike.sa.${name}`, 1)), [[7], [2], [86400]]);
  t.is(d.buffer('ike.resp_spi', TO_CLIENT), '1112131415161718');
  t.is(d.buffer('ike.nonce_payload', TO_CLIENT), 'nonce');
  t.deepEqual([...d.txEvents], []);
  const two = concat(payload(0, payload(0, Uint8Array.of(1, 1, 0, 2), payload(3, fromHex('01000003')), payload(0, fromHex('04000002')))));
  const v2 = new Watcher(500);
  v2.datagram(TO_SERVER, concat(ikeHeader(33, 0x20, 34, 28 + two.length), two));
  t.deepEqual([...v2.txEvents].filter((name) => name.startsWith('ike.')).toSorted(), ['ike.weak_crypto_dh', 'ike.weak_crypto_enc', 'ike.weak_crypto_noauth']);
});

const mqtt = (first: number, ...parts: (string | Uint8Array)[]): Uint8Array => {
  const body = concat(...parts);
  return concat(Uint8Array.of(first), body.length < 128 ? be(body.length, 1) : Uint8Array.of((body.length & 127) | 128, body.length >> 7), body);
};
const str = (text: string): Uint8Array => concat(be(text.length, 2), text);

test('mqtt: messages and their answers, any cut', (t) => {
  const connect = mqtt(0x10, str('MQTT'), Uint8Array.of(5, 0xc2), be(60, 2), '\0', str('id'), str('user'), str('pass'));
  const client = concat(connect, mqtt(0x32, str('topic'), be(7, 2), '\0', 'hello'), mqtt(0x82, be(8, 2), '\0', str('a/b'), '\x01'), mqtt(0xe0, '\x04\0'));
  const server = concat(mqtt(0x20, '\0\0\0'), mqtt(0x40, be(7, 2), '\x10\0'), mqtt(0x90, be(8, 2), '\0\x01'));
  for (const step of [0, 1, 3]) {
    const d = new Watcher(1883);
    d.send(TO_SERVER, connect, step);
    d.send(TO_CLIENT, mqtt(0x20, '\0\0\0'), step);
    d.send(TO_SERVER, client.subarray(connect.length), step);
    d.send(TO_CLIENT, server.subarray(5), step);
    t.is(d.flow.appProto, 'mqtt');
    t.deepEqual([...d.txEvents], []);
    const types = new Set(d.numbers('mqtt.type', 0));
    t.deepEqual([...types].toSorted((a, b) => a - b), [1, 2, 3, 4, 8, 9, 14]);
    const text = [...d.buffers].filter(([key]) => !key.startsWith('frame.')).map(([key, value]) => `${key.split('>')[0]}=${value}`);
    for (const want of ['mqtt.connect.username=user', 'mqtt.connect.password=pass', 'mqtt.publish.topic=topic', 'mqtt.publish.message=hello', 'mqtt.subscribe.topic=a/b']) t.true(text.includes(want), want);
    t.deepEqual(d.flow.transactions.length, 0);
  }
});

test('mqtt: what comes without what it answers', (t) => {
  const d = new Watcher(1883);
  d.send(TO_CLIENT, concat(mqtt(0x20, '\0\0'), mqtt(0x40, be(1, 2)), mqtt(0x90, be(1, 2), '\0'), mqtt(0xb0, be(1, 2)), mqtt(0x00)));
  d.send(TO_SERVER, mqtt(0xc0));
  t.deepEqual([...d.txEvents].toSorted(), ['mqtt.missing_connect', 'mqtt.missing_publish', 'mqtt.missing_subscribe', 'mqtt.missing_unsubscribe', 'mqtt.unassigned_msg_type', 'mqtt.unintroduced_message']);
  const bad = new Watcher(1883);
  bad.send(TO_SERVER, mqtt(0x10, str('MQTT'), Uint8Array.of(5, 2), be(60, 2), '\x7f'));
  t.deepEqual([...bad.txEvents], ['mqtt.malformed_traffic']);
});

test('sip: requests, responses, frames', (t) => {
  const d = new Watcher(5060);
  d.datagram(TO_SERVER, 'REGISTER sip:host SIP/2.0\r\nVia: x\r\n\r\nbody');
  d.datagram(TO_CLIENT, '\r\n\r\n');
  d.datagram(TO_CLIENT, 'SIP/2.0 401 Not Allowed Here\r\nVia: x\r\n\r\n');
  t.deepEqual(['sip.method', 'sip.uri', 'sip.protocol', 'sip.request_line'].map((name) => d.buffer(name)), ['REGISTER', 'sip:host', 'SIP/2.0', 'REGISTER sip:host SIP/2.0']);
  t.deepEqual(['sip.stat_code', 'sip.stat_msg', 'sip.protocol'].map((name) => d.buffer(name, TO_CLIENT, 2)), ['401', 'Not Allowed Here', 'SIP/2.0']);
  t.is(d.buffer('frame.sip.request.body', TO_SERVER, 1), 'body');
});

test('telnet: lines and commands are frames, any cut', (t) => {
  for (const step of [0, 1]) {
    const d = new Watcher(23);
    d.send(TO_CLIENT, concat(fromHex('fffd18fffa1801fff0'), 'login: \r\n'), step);
    t.is(d.flow.appProto, 'telnet');
    const frames = [...d.buffers].filter(([key]) => key.startsWith('frame.telnet.pdu')).map(([, value]) => value);
    t.deepEqual(frames, ['\xff\xfd\x18', '\xff\xfa\x18\x01\xff\xf0', 'login: \r\n']);
  }
});

test('every buffer and event of the registry has its own name', (t) => {
  for (const protocol of new ProtocolRegistry().protocols) {
    const names = protocol.buffers.map((buffer) => buffer.name);
    t.is(new Set(names).size, names.length, protocol.name);
    t.is(new Set(protocol.events).size, protocol.events.length, protocol.name);
  }
});

const SAMPLES: readonly (readonly [port: number, udp: boolean, data: Uint8Array])[] = [
  [67, true, dhcp(fromHex('350105'), fromHex('3304'), be(3600, 4), fromHex('ff'))],
  [161, true, der(0x30, int(1), der(4, 'public'), der(0xa0, int(1)))],
  [69, true, concat('\0\x01boot.img\0octet\0')],
  [3389, false, concat('\x03\0\0\x13\x0e\xe0\0\0\x12\x34\0', '\x01\0\x08\0', le(1, 4))],
  [44818, false, enip(0x6f, concat(zeros(6), le(1, 2), le(0xb2, 2), le(4, 2), Uint8Array.of(0x0e, 1, 0x20, 4)))],
  [88, true, der(0x6a, der(0x30, context(4, der(0x30, context(1, principal('bob'))))))],
  [502, false, modbus(2, 10, '10000500020400010203')],
  [20000, false, dnp3(0xc4, concat(Uint8Array.of(0xc0), fromHex('c0050c011701000301640000006400000000')))],
  [5900, false, concat('RFB 003.008\n')],
  [500, true, concat(ikeHeader(43, 0x20, 34, 40), payload(0, 'vendor!!'))],
  [1883, false, concat(mqtt(0x10, str('MQTT'), Uint8Array.of(4, 0xc2), be(60, 2), str('id'), str('user'), str('pass')), mqtt(0x30, str('t'), 'x'))],
  [5060, true, concat('INVITE sip:a SIP/2.0\r\nA: b\r\n\r\n')],
  [23, false, concat(fromHex('fffd18'), 'hello\r\n')],
];

test('fuzz: mutated messages in any cut neither throw nor hoard', (t) => {
  fc.assert(
    fc.property(fc.constantFrom(...SAMPLES), fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 6 }), fc.nat(400), fc.integer({ min: 1, max: 60 }), (sample, edits, cut, step) => {
      const [port, udp, data] = sample;
      const bytes = Uint8Array.from(data);
      for (const [at, value] of edits) bytes[at % bytes.length] = value;
      const short = bytes.subarray(0, bytes.length - (cut % bytes.length));
      for (const dir of [TO_SERVER, TO_CLIENT]) {
        const d = new Driver(port);
        if (udp) {
          d.datagram(dir, data);
          d.datagram(dir, short);
          d.datagram(1 - dir, bytes);
        } else {
          d.send(dir, concat(data, short, bytes), step);
          d.send(1 - dir, concat(bytes, data), step);
        }
        d.close();
        t.is(d.flow.transactions.length, 0);
      }
    }),
    { numRuns: 600 },
  );
});
