/** asn1: attacks on BER decoders, and what only looks like them. */
import test from 'ava';
import fc from 'fast-check';
import { findsBadElement } from '../../../src/ips/match/asn1.js';
import { engine, packet } from './helper.js';

const ALL = { bitstringOverflow: true, doubleOverflow: true, oversize: 2048 };
const finds = (hex: string, test: Partial<typeof ALL> = {}): boolean => {
  const buf = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  return findsBadElement(buf, 0, buf.length, { bitstringOverflow: false, doubleOverflow: false, oversize: -1, ...test });
};

test('elements', (t) => {
  t.true(finds('03 02 09 00', { bitstringOverflow: true }), 'nine unused bits of eight');
  t.false(finds('03 02 07 00', { bitstringOverflow: true }));
  t.false(finds('03 02 09 00', { doubleOverflow: true }));
  t.true(finds('30 06 02 01 05 03 01 01', { bitstringOverflow: true }), 'within a sequence');
  t.true(finds('30 80 03 01 01', { bitstringOverflow: true }), 'within a sequence without length');
  t.false(finds('83 01 01', { bitstringOverflow: true }), 'of another class');
  t.true(finds(`09 82 02 00 03${'31'.repeat(511)}`, { doubleOverflow: true }));
  t.false(finds(`09 81 80 03${'31'.repeat(127)}`, { doubleOverflow: true }));
  t.false(finds(`09 82 02 00 80${'31'.repeat(511)}`, { doubleOverflow: true }), 'a binary encoding');
  t.true(finds('04 82 08 01', { oversize: 2048 }));
  t.false(finds('04 82 08 00', { oversize: 2048 }));
  t.true(finds('1f 81 03 82 08 01', { oversize: 2048 }), 'a tag of several bytes');
});

test('in a rule: from where the content before it ended', (t) => {
  const { ips, events } = engine('alert udp any any -> any any (content:"X"; asn1:bitstring_overflow, relative_offset 1; sid:1;)\nalert udp any any -> any any (asn1:bitstring_overflow, absolute_offset 2; sid:2;)');
  const send = (hex: string): number[] => {
    ips.inspect(packet({ proto: 17, payload: Buffer.from(hex, 'hex') }), null);
    return events.take();
  };
  t.deepEqual(send('58ff03020900'), [1, 2]);
  t.deepEqual(send('ff03020900'), []);
  t.deepEqual(send('5803020900'), [], 'one byte further on');
  t.deepEqual(send('58'), []);
});

test('fuzz: any bytes end', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat(40), (buf, at) => {
      t.is(typeof findsBadElement(buf, at, buf.length, ALL), 'boolean');
    }),
    { numRuns: 300 },
  );
});
