import { isIPv4, isIPv6 } from 'node:net';
import test from 'ava';
import fc from 'fast-check';
import { formatIpv4, formatIpv6, formatMac, ipKey, isMulticastMac, parseIp, parseIpv4, parseIpv6, parseMac, parsePrefix, prefixContains } from '../../../src/packet/index.js';

const word = fc.integer({ min: -0x80000000, max: 0x7fffffff });
// Zero words are what `::` is about.
const sparse = fc.oneof(word, fc.constantFrom(0, 0xffff, 0x10000, 1));

test('IPv6 text as RFC 5952 wants it', (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['::', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['2001:DB8::0:1', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8::', '2001:db8::'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['fe80:0:0:0:0:0:0:0', 'fe80::'],
    ['0:0:0:0:1:0:0:0', '::1:0:0:0'],
  ];
  for (const [text, want] of cases) {
    const [a, b, c, d] = parseIpv6(text)!;
    t.is(formatIpv6(a!, b!, c!, d!), want);
  }
});

test('format and parse are inverse', (t) => {
  fc.assert(
    fc.property(sparse, sparse, sparse, sparse, (a, b, c, d) => {
      const text = formatIpv6(a, b, c, d);
      t.true(isIPv6(text), text);
      t.deepEqual(parseIpv6(text), [a, b, c, d]);
      t.is(parseIpv4(formatIpv4(a)), a);
    }),
  );
});

test('node:net and this parser agree on what an address is', (t) => {
  const piece = fc.oneof(fc.constantFrom(':', '::', '.', '0', '1.2.3.4', 'ffff', 'g', '12345', '01', '256', ' ', ''), fc.stringMatching(/^[0-9a-f]{1,5}$/));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 16 }), (pieces) => {
      const text = pieces.join('');
      t.is(parseIpv6(text) !== undefined, isIPv6(text), text);
      t.is(parseIpv4(text) !== undefined, isIPv4(text), text);
    }),
    { numRuns: 3000 },
  );
});

test('prefixes', (t) => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['10.0.0.0/8', '10.255.1.2', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['10.1.2.3/8', '10.9.9.9', true],
    ['0.0.0.0/0', '255.255.255.255', true],
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.1/32', '192.0.2.2', false],
    ['2001:db8::/33', '2001:db8:7fff::1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['::/0', '10.0.0.1', false],
  ];
  for (const [prefix, address, inside] of cases) t.is(prefixContains(parsePrefix(prefix), parseIp(address)), inside, `${address} in ${prefix}`);
  for (const bad of ['10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/-1', '10.0.0/8', '10.0.0.0/08', 'x/8', '']) t.throws(() => parsePrefix(bad), { instanceOf: SyntaxError }, bad);
});

test('MAC addresses', (t) => {
  const { hi, lo } = parseMac('00:1A:2b:ff:00-01'.replace('-', ':'));
  t.is(formatMac(hi, lo), '00:1a:2b:ff:00:01');
  t.deepEqual(parseMac('ff-ff-ff-ff-ff-ff'), { hi: 0xffff, lo: -1 });
  t.true(isMulticastMac(0x0100));
  t.false(isMulticastMac(0x0200));
  for (const bad of ['', '00:11:22:33:44', '00:11:22:33:44:5', '00:11:22:33:44:gg', '001122334455']) t.throws(() => parseMac(bad), { instanceOf: SyntaxError });
});

test('keys of addresses tell the versions apart', (t) => {
  t.is(ipKey(parseIp('10.0.0.1')), '0a000001');
  t.is(ipKey(parseIp('::a00:1')), '0000000000000000000000000a000001');
});
