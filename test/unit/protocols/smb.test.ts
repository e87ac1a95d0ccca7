/** DCE/RPC and SMB: bindings, calls, shares, log-ons, files and pipes, in any cut. */
import fc from 'fast-check';
import test from 'ava';
import { TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { DceTransaction, transactionsOf, type Transaction } from '../../../src/protocols/index.js';
import { fromHex } from '../../../src/util/index.js';
import { concat, Driver } from './driver.js';

const le = (value: number, bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) & 255);
const zeros = (n: number): Uint8Array => new Uint8Array(n);
const utf16 = (text: string): Uint8Array => Buffer.from(text, 'utf16le');

class Watcher extends Driver {
  readonly seen = new Set<Transaction>();
  override look(): void {
    for (const tx of transactionsOf(this.flow)) this.seen.add(tx);
    super.look();
  }
  calls(): { opnum: number; uuid: string | undefined; accepted: boolean | undefined; request: string; response: string }[] {
    return [...this.seen].flatMap((tx) => {
      const call = tx instanceof DceTransaction ? tx.call : null;
      if (call === null) return [];
      const text = (stub: typeof call.request): string => Buffer.from(stub.bytes.subarray(0, stub.length)).toString('latin1');
      return [{ opnum: call.opnum, uuid: call.iface?.uuid, accepted: call.iface?.accepted, request: text(call.request), response: text(call.response) }];
    });
  }
  values(name: string): string[] {
    return [...this.buffers].filter(([key]) => key.startsWith(`${name}>`) || key.startsWith(`${name}<`)).map(([, value]) => value);
  }
}

const UUID = '367abb81-9844-35f1-ad32-98f038001003';
const WIRE_UUID = fromHex('81bb7a364498f135ad3298f038001003');
const pdu = (type: number, flags: number, call: number, body: Uint8Array): Uint8Array => concat(Uint8Array.of(5, 0, type, flags), fromHex('10000000'), le(16 + body.length, 2), le(0, 2), le(call, 4), body);
const bind = pdu(11, 3, 1, concat(le(4280, 2), le(4280, 2), le(0, 4), Uint8Array.of(1, 0, 0, 0), le(0, 2), Uint8Array.of(1, 0), WIRE_UUID, le(2, 2), le(0, 2), zeros(20)));
const bindAck = (result: number): Uint8Array => pdu(12, 3, 1, concat(le(4280, 2), le(4280, 2), le(7, 4), le(4, 2), '135\0', zeros(2), Uint8Array.of(1, 0, 0, 0), le(result, 2), le(0, 2), zeros(20)));
const request = (call: number, flags: number, opnum: number, stub: string): Uint8Array => pdu(0, flags, call, concat(le(stub.length, 4), le(0, 2), le(opnum, 2), stub));
const response = (call: number, stub: string): Uint8Array => pdu(2, 3, call, concat(le(stub.length, 4), le(0, 2), zeros(2), stub));

test('dcerpc: binding, fragments of a call, its answer, any cut', (t) => {
  for (const step of [0, 1, 13]) {
    const d = new Watcher(135);
    d.send(TO_SERVER, bind, step);
    d.send(TO_CLIENT, bindAck(0), step);
    d.send(TO_SERVER, concat(request(2, 1, 15, 'first '), request(2, 2, 15, 'last')), step);
    d.send(TO_CLIENT, response(2, 'done'), step);
    t.is(d.flow.appProto, 'dcerpc');
    t.deepEqual(d.calls(), [{ opnum: 15, uuid: UUID, accepted: true, request: 'first last', response: 'done' }]);
    t.is(d.buffer('dcerpc.stub_data'), 'first last');
    t.is(d.buffer('dcerpc.stub_data', TO_CLIENT), 'done');
    t.is(d.flow.transactions.length, 0);
  }
});

test('dcerpc: a refused binding is not accepted; calls without a binding still count', (t) => {
  const d = new Watcher(135);
  d.send(TO_SERVER, bind);
  d.send(TO_CLIENT, bindAck(2));
  d.send(TO_SERVER, request(2, 3, 1, 'x'));
  t.is(d.calls()[0]!.accepted, false);
  const bare = new Watcher(4592);
  bare.send(TO_SERVER, request(1, 3, 9, 'BBBB'));
  t.is(bare.buffer('dcerpc.stub_data'), 'BBBB');
  t.is(bare.calls()[0]!.uuid, undefined);
});

test('dcerpc over UDP', (t) => {
  const d = new Watcher(135);
  const header = (type: number, length: number): Uint8Array => concat(Uint8Array.of(4, type, 0, 0, 0x10, 0, 0, 0), zeros(16), WIRE_UUID, zeros(16), zeros(4), le(2, 4), le(1, 4), le(7, 2), zeros(4), le(length, 2), zeros(4));
  d.datagram(TO_SERVER, concat(header(0, 4), 'stub'));
  d.datagram(TO_CLIENT, concat(header(2, 4), 'back'));
  t.is(d.flow.appProto, 'dcerpc');
  t.deepEqual(d.calls(), [{ opnum: 7, uuid: UUID, accepted: true, request: 'stub', response: 'back' }]);
});

const nbss = (message: Uint8Array): Uint8Array => concat(Uint8Array.of(0, message.length >> 16, (message.length >> 8) & 255, message.length & 255), message);
const smb2 = (command: number, id: number, tree: number, answer: boolean, body: Uint8Array): Uint8Array =>
  nbss(concat('\xfeSMB', le(64, 2), le(0, 2), le(0, 4), le(command, 2), le(1, 2), le(answer ? 1 : 0, 4), le(0, 4), le(id, 8), le(0, 4), le(tree, 4), le(1, 8), zeros(16), body));
const connect = (id: number, path: string): Uint8Array => smb2(3, id, 0, false, concat(le(9, 2), le(0, 2), le(72, 2), le(path.length * 2, 2), utf16(path)));
const connected = (id: number, tree: number, type: number): Uint8Array => smb2(3, id, tree, true, concat(le(16, 2), Uint8Array.of(type, 0), zeros(12)));
const create = (id: number, tree: number, name: string): Uint8Array => smb2(5, id, tree, false, concat(zeros(44), le(120, 2), le(name.length * 2, 2), zeros(8), utf16(name)));
const FID = fromHex('000102030405060708090a0b0c0d0e0f');
const created = (id: number, tree: number): Uint8Array => smb2(5, id, tree, true, concat(zeros(64), FID));
const write = (id: number, tree: number, offset: number, data: string | Uint8Array): Uint8Array => smb2(9, id, tree, false, concat(le(49, 2), le(112, 2), le(data.length, 4), le(offset, 8), FID, zeros(16), data));
const read = (id: number, tree: number, offset: number): Uint8Array => smb2(8, id, tree, false, concat(zeros(4), le(100, 4), le(offset, 8), FID));
const wasRead = (id: number, tree: number, data: string | Uint8Array): Uint8Array => smb2(8, id, tree, true, concat(le(17, 2), Uint8Array.of(80, 0), le(data.length, 4), zeros(8), data));
const close = (id: number, tree: number): Uint8Array => smb2(6, id, tree, false, concat(zeros(8), FID));

test('smb2: shares and files, any cut', (t) => {
  for (const step of [0, 1, 31]) {
    const d = new Watcher(445);
    d.send(TO_SERVER, connect(1, '\\\\srv\\data'), step);
    d.send(TO_CLIENT, connected(1, 5, 1), step);
    d.send(TO_SERVER, create(2, 5, 'dir\\a.exe'), step);
    d.send(TO_CLIENT, created(2, 5), step);
    d.send(TO_SERVER, concat(write(3, 5, 0, 'MZ begin '), write(4, 5, 9, 'end'), read(5, 5, 0)), step);
    d.send(TO_CLIENT, wasRead(5, 5, 'MZ begin end'), step);
    d.send(TO_SERVER, close(6, 5), step);
    t.is(d.flow.appProto, 'smb');
    t.deepEqual(d.values('smb.share'), ['\\\\srv\\data']);
    t.deepEqual(d.values('file.data'), ['MZ begin end', 'MZ begin end']);
    t.deepEqual(d.values('file.name'), ['dir\\a.exe', 'dir\\a.exe']);
    t.deepEqual([...d.txEvents], []);
    t.is(d.flow.transactions.length, 0);
  }
});

test('smb2: what is written twice is an overlap', (t) => {
  const d = new Watcher(445);
  d.send(TO_SERVER, concat(write(1, 5, 0, 'abc'), write(2, 5, 1, 'XYZ')));
  t.deepEqual(d.values('file.data'), ['abcZ']);
  t.deepEqual([...d.txEvents], ['smb.file_overlap']);
});

test('smb2: DCE/RPC over a named pipe, also when the binding comes in two writes', (t) => {
  const d = new Watcher(445);
  d.send(TO_SERVER, connect(1, '\\\\srv\\IPC$'));
  d.send(TO_CLIENT, connected(1, 6, 2));
  d.send(TO_SERVER, create(2, 6, 'svcctl'));
  d.send(TO_CLIENT, created(2, 6));
  d.send(TO_SERVER, concat(write(3, 6, 0, bind.subarray(0, 40)), write(4, 6, 0, bind.subarray(40)), read(5, 6, 0)));
  d.send(TO_CLIENT, wasRead(5, 6, bindAck(0)));
  d.send(TO_SERVER, concat(write(6, 6, 0, request(2, 3, 12, 'create service')), read(7, 6, 0)));
  d.send(TO_CLIENT, wasRead(7, 6, response(2, 'ok')));
  t.deepEqual(d.values('smb.named_pipe'), ['\\\\srv\\IPC$']);
  t.deepEqual(d.values('smb.share'), []);
  t.deepEqual(d.calls(), [{ opnum: 12, uuid: UUID, accepted: true, request: 'create service', response: 'ok' }]);
});

const smb1 = (command: number, answer: boolean, words: Uint8Array, data: Uint8Array): Uint8Array =>
  nbss(concat('\xffSMB', Uint8Array.of(command), le(0, 4), Uint8Array.of(answer ? 0x80 : 0), le(0xc001, 2), zeros(12), le(7, 2), le(1, 2), le(2, 2), le(3, 2), Uint8Array.of(words.length / 2), words, le(data.length, 2), data));
const ntlm = concat('NTLMSSP\0', le(3, 4), zeros(16), le(14, 2), le(14, 2), le(64, 4), le(10, 2), le(10, 2), le(78, 4), zeros(16), le(1, 4), utf16('CONTOSO'), utf16('admin'));

test('smb1: log-on, share, file in an AndX chain, any cut', (t) => {
  for (const step of [0, 1, 17]) {
    const d = new Watcher(139);
    d.send(TO_SERVER, smb1(0x73, false, concat(Uint8Array.of(0xff, 0, 0, 0), zeros(20)), ntlm), step);
    d.send(TO_SERVER, smb1(0x75, false, concat(Uint8Array.of(0xff, 0, 0, 0), le(0, 2), le(1, 2)), concat('\0', utf16('\\\\srv\\pub\0'), '?????\0')), step);
    d.send(TO_CLIENT, smb1(0x75, true, concat(Uint8Array.of(0xff, 0, 0, 0), zeros(2)), concat('A:\0')), step);
    d.send(TO_SERVER, smb1(0xa2, false, concat(Uint8Array.of(0xff, 0, 0, 0), zeros(44)), concat('\0', utf16('\\eicar\0'))), step);
    d.send(TO_CLIENT, smb1(0xa2, true, concat(Uint8Array.of(0xff, 0, 0, 0, 0), le(0x4006, 2), zeros(61)), zeros(0)), step);
    const data = 'X5O!P%';
    const head = 32 + 1 + 24 + 2;
    d.send(TO_SERVER, smb1(0x2f, false, concat(Uint8Array.of(0xff, 0, 0, 0), le(0x4006, 2), le(0, 4), zeros(8), le(0, 2), le(data.length, 2), le(head, 2)), concat(data)), step);
    d.send(TO_SERVER, smb1(0x04, false, concat(le(0x4006, 2), zeros(4)), zeros(0)), step);
    t.is(d.flow.appProto, 'smb');
    t.deepEqual([d.values('smb.ntlmssp_user'), d.values('smb.ntlmssp_domain')], [['admin'], ['CONTOSO']]);
    t.deepEqual(d.values('smb.share'), ['\\\\srv\\pub']);
    t.deepEqual(d.values('file.data'), [data]);
    t.deepEqual(d.values('file.name'), ['\\eicar']);
  }
});

test('fuzz: mutated SMB and DCE/RPC neither throw nor hoard', (t) => {
  const client = concat(connect(1, '\\\\srv\\IPC$'), create(2, 6, 'svcctl'), write(3, 6, 0, bind), write(4, 6, 0, request(2, 3, 12, 'x')), read(5, 6, 0), close(6, 6), smb1(0x73, false, concat(Uint8Array.of(0xff, 0, 0, 0), zeros(20)), ntlm));
  const server = concat(connected(1, 6, 2), created(2, 6), wasRead(5, 6, bindAck(0)), smb1(0x75, true, concat(Uint8Array.of(0xff, 0, 0, 0), zeros(2)), concat('A:\0')));
  const samples = [[445, client, server], [135, concat(bind, request(2, 1, 1, 'a'), request(2, 2, 1, 'b')), concat(bindAck(0), response(2, 'c'))]] as const;
  const edits = fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 6 });
  const mutate = (data: Uint8Array, list: readonly (readonly [number, number])[]): Uint8Array => {
    const out = Uint8Array.from(data);
    for (const [at, value] of list) out[at % out.length] = value;
    return out;
  };
  fc.assert(
    fc.property(fc.constantFrom(...samples), edits, edits, fc.integer({ min: 1, max: 200 }), ([port, a, b], first, second, step) => {
      const d = new Driver(port);
      d.send(TO_SERVER, mutate(a, first), step);
      d.send(TO_CLIENT, mutate(b, second), step);
      d.close();
      t.is(d.flow.transactions.length, 0);
    }),
    { numRuns: 300 },
  );
});
