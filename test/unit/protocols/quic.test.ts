/** QUIC: Initial packets protected with the keys of RFC 9001 appendix A.1, and Google's hellos. */
import { createCipheriv } from 'node:crypto';
import fc from 'fast-check';
import test from 'ava';
import { TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { fromHex } from '../../../src/util/index.js';
import { concat, Driver } from './driver.js';

const be = (value: number, bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** (bytes - 1 - i)) & 255);
const le = (value: number, bytes: number): Uint8Array => be(value, bytes).toReversed();
const DCID = fromHex('8394c8f03e515708');
/** RFC 9001 appendix A.1: client key, IV and header protection key for this connection id. */
const KEY = fromHex('1f369613dd76d5467730efcbe3b1a22d');
const IV = fromHex('fa044b2f42a3fd3b46fb255c');
const HP = fromHex('9f50449e04a0e810283a1e9933adedd2');

/** A client Initial packet with packet number 2 in four bytes, as section 5.4 protects it. */
function initial(frames: Uint8Array, trailing = new Uint8Array(0)): Uint8Array {
  const payload = concat(frames, new Uint8Array(Math.max(0, 64 - frames.length)));
  const length = 4 + payload.length + 16;
  const header = concat(Uint8Array.of(0xc3), be(1, 4), Uint8Array.of(DCID.length), DCID, Uint8Array.of(0), Uint8Array.of(0), be(0x4000 + length, 2), be(2, 4));
  const nonce = Uint8Array.from(IV);
  nonce[11]! ^= 2;
  const cipher = createCipheriv('aes-128-gcm', KEY, nonce);
  cipher.setAAD(header);
  const sealed = concat(cipher.update(payload), cipher.final(), cipher.getAuthTag());
  const out = concat(header, sealed, trailing);
  const at = header.length - 4;
  const mask = createCipheriv('aes-128-ecb', HP, null).setAutoPadding(false).update(out.subarray(at + 4, at + 20));
  out[0]! ^= mask[0]! & 0x0f;
  for (let i = 0; i < 4; i++) out[at + i]! ^= mask[1 + i]!;
  return out;
}

const ext = (type: number, body: Uint8Array): Uint8Array => concat(be(type, 2), be(body.length, 2), body);
function clientHello(name: string): Uint8Array {
  const sni = concat(be(name.length + 3, 2), Uint8Array.of(0), be(name.length, 2), name);
  const extensions = concat(ext(0, sni), ext(16, concat(be(3, 2), Uint8Array.of(2), 'h3')), ext(43, Uint8Array.of(2, 3, 4)), ext(10, fromHex('0002001d')));
  const body = concat(be(0x0303, 2), new Uint8Array(32), Uint8Array.of(0), be(2, 2), be(0x1301, 2), Uint8Array.of(1, 0), be(extensions.length, 2), extensions);
  return concat(Uint8Array.of(1), be(body.length, 3), body);
}
const crypto = (offset: number, data: Uint8Array): Uint8Array => concat(Uint8Array.of(6), be(0x4000 + offset, 2), be(0x4000 + data.length, 2), data);

test('an Initial packet gives its hello, whole or in frames of any order', (t) => {
  const hello = clientHello('www.example.org');
  const cut = [crypto(0, hello), concat(crypto(40, hello.subarray(40)), Uint8Array.of(0, 1), crypto(0, hello.subarray(0, 40)))];
  for (const frames of cut) {
    const d = new Driver(443);
    d.datagram(TO_SERVER, initial(frames));
    t.is(d.flow.appProto, 'quic');
    t.is(d.buffer('quic.sni'), 'www.example.org');
    t.is(d.buffer('quic.version'), '\0\0\0\x01');
    t.is(d.buffer('ja3.string'), '771,4865,0-16-43-10,29,');
    t.regex(d.buffer('ja4.hash')!, /^q13d0104h3_/);
    t.deepEqual([...d.txEvents], []);
  }
  const two = new Driver(443);
  two.datagram(TO_SERVER, initial(crypto(0, hello.subarray(0, 50))));
  t.is(two.buffer('quic.sni'), undefined);
  two.datagram(TO_SERVER, initial(crypto(50, hello.subarray(50))));
  t.is(two.buffer('quic.sni', TO_SERVER, 1), 'www.example.org');
  two.datagram(TO_SERVER, initial(crypto(0, hello)));
  t.is(two.records.length, 2, 'nothing more is read once the hello is there');
});

test('a packet that does not decrypt is an event, the flow goes on', (t) => {
  const d = new Driver(443);
  const bad = initial(crypto(0, clientHello('a.b')));
  bad[bad.length - 1]! ^= 1;
  d.datagram(TO_SERVER, bad);
  t.deepEqual([...d.txEvents], ['quic.failed_decrypt']);
  d.datagram(TO_SERVER, initial(crypto(0, clientHello('a.b'))));
  t.is(d.buffer('quic.sni', TO_SERVER, 1), 'a.b');
});

test("Google's hello: server name, user agent, fingerprint", (t) => {
  const values = ['--', 'example.org', 'agent'];
  const ends = values.map((_, i) => values.slice(0, i + 1).join('').length);
  const table = concat(...['PAD\0', 'SNI\0', 'UAID'].map((tag, i) => concat(tag, le(ends[i]!, 4))));
  const message = concat('CHLO', le(3, 2), le(0, 2), table, values.join(''));
  const packet = concat(Uint8Array.of(0xc3), 'Q046', Uint8Array.of(0x50), DCID, be(1, 4), new Uint8Array(12), Uint8Array.of(0xa0, 1), le(message.length, 2), message);
  const d = new Driver(443);
  d.datagram(TO_SERVER, packet);
  t.is(d.buffer('quic.version'), 'Q046');
  t.is(d.buffer('quic.sni'), 'example.org');
  t.is(d.buffer('quic.ua'), 'agent');
  t.is(d.buffer('quic.cyu.string'), '46,PAD-SNI-UAID');
});

test('fuzz: mutated packets do not throw', (t) => {
  const good = initial(crypto(0, clientHello('www.example.org')));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 5 }), fc.uint8Array({ maxLength: 80 }), fc.nat(200), (edits, frames, cut) => {
      const d = new Driver(443);
      const bytes = Uint8Array.from(good);
      for (const [at, value] of edits) bytes[at % bytes.length] = value;
      d.datagram(TO_SERVER, good.subarray(0, good.length - (cut % good.length)));
      d.datagram(TO_SERVER, bytes);
      d.datagram(TO_CLIENT, bytes);
      d.datagram(TO_SERVER, initial(frames)); // frames of any content, properly protected
      d.close();
      t.is(d.flow.transactions.length, 0);
    }),
    { numRuns: 200 },
  );
});
