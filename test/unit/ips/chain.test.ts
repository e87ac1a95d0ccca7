/** The chain inspector against a matcher that tries everything, and the prefilter against none. */
import fc from 'fast-check';
import test from 'ava';
import { engine, newFlow, packet, PROTO_UDP, segment } from './helper.js';

interface Part {
  readonly text: string;
  readonly nocase: boolean;
  readonly negated: boolean;
  readonly place:
    | { readonly kind: 'free' }
    | { readonly kind: 'absolute'; readonly offset: number; readonly depth: number }
    | { readonly kind: 'relative'; readonly distance: number; readonly within: number };
  readonly ends: boolean;
}

const text = (min: number, max: number): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom('a', 'b', 'A', 'c'), { minLength: min, maxLength: max }).map((list) => list.join(''));

const part: fc.Arbitrary<Part> = fc.record({
  text: text(1, 3),
  nocase: fc.boolean(),
  negated: fc.constant(false),
  ends: fc.constant(false),
  place: fc.oneof(
    fc.constant({ kind: 'free' } as const),
    fc.record({ kind: fc.constant('absolute' as const), offset: fc.nat(6), depth: fc.integer({ min: 3, max: 9 }) }),
    fc.record({ kind: fc.constant('relative' as const), distance: fc.integer({ min: -4, max: 4 }), within: fc.integer({ min: 3, max: 8 }) }),
  ),
});

function write({ text: pattern, nocase, negated, place, ends }: Part): string {
  let out = `content:${negated ? '!' : ''}"${pattern}";`;
  if (nocase) out += ' nocase;';
  if (place.kind === 'absolute') out += ` offset:${place.offset}; depth:${place.depth};`;
  if (place.kind === 'relative') out += ` distance:${place.distance}; within:${place.within};`;
  if (ends) out += ' endswith;';
  return out;
}

/** Every occurrence of each part in turn; exponential and obvious. */
function naive(data: string, parts: readonly Part[], index: number, cursor: number): boolean {
  if (index === parts.length) return true;
  const { text: pattern, nocase, place, negated, ends } = parts[index]!;
  const fold = (value: string): string => (nocase ? value.toLowerCase() : value);
  let low = 0;
  let high = data.length;
  if (place.kind === 'absolute') {
    low = place.offset;
    high = Math.min(high, place.offset + place.depth);
  } else if (place.kind === 'relative') {
    low = Math.max(0, cursor + place.distance);
    high = Math.min(high, cursor + place.distance + place.within);
  }
  let any = false;
  for (let at = low; at + pattern.length <= high; at++) {
    if (fold(data.slice(at, at + pattern.length)) !== fold(pattern)) continue;
    if (ends && at + pattern.length !== data.length) continue;
    any = true;
    if (!negated && naive(data, parts, index + 1, at + pattern.length)) return true;
  }
  return negated && !any && naive(data, parts, index + 1, cursor);
}

function run(rule: string, data: string): boolean {
  const { ips, events } = engine(rule, { withoutPrefilter: true });
  ips.inspect(packet({ proto: PROTO_UDP, payload: data }), null);
  return events.take().length > 0;
}

test('chains of related contents match as trying every occurrence does', (t) => {
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), text(1, 14), (parts, data) => {
      const rule = `alert udp any any -> any any (${parts.map(write).join(' ')} sid:1;)`;
      return run(rule, data) === naive(data, parts, 0, 0);
    }),
    { numRuns: 1500 },
  );
  t.pass();
});

test('a negated last content, and endswith', (t) => {
  const last = fc.record({ text: text(1, 2), nocase: fc.boolean(), negated: fc.boolean(), ends: fc.boolean(), place: fc.constant({ kind: 'free' } as const) });
  fc.assert(
    fc.property(fc.array(part, { maxLength: 2 }), last, text(1, 12), (parts, end, data) => {
      const all = [...parts, end];
      return run(`alert udp any any -> any any (${all.map(write).join(' ')} sid:1;)`, data) === naive(data, all, 0, 0);
    }),
    { numRuns: 800 },
  );
  t.pass();
});

test('long needles and long buffers', (t) => {
  fc.assert(
    fc.property(text(3, 12), text(0, 400), text(0, 400), fc.boolean(), fc.boolean(), (needle, before, after, nocase, there) => {
      const data = before + (there ? needle : '') + after;
      const expected = nocase ? data.toLowerCase().includes(needle.toLowerCase()) : data.includes(needle);
      return data.length === 0 || run(`alert udp any any -> any any (content:"${needle}"; ${nocase ? 'nocase; ' : ''}sid:1;)`, data) === expected;
    }),
    { numRuns: 400 },
  );
  t.pass();
});

test('the prefilter loses no match: packets and streams in pieces', (t) => {
  const rules = fc.array(fc.array(part, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(rules, fc.array(text(1, 10), { minLength: 1, maxLength: 5 }), fc.constantFrom('udp', 'tcp'), (sets, pieces, proto) => {
      const source = sets.map((parts, i) => `alert ${proto} any any -> any any (${parts.map(write).join(' ')} sid:${i + 1};)`).join('\n');
      const seen = [true, false].map((withoutPrefilter) => {
        const { ips, events } = engine(source, { withoutPrefilter, maxAlertsPerPacket: 1000 });
        const flow = newFlow(proto === 'udp' ? PROTO_UDP : 6);
        for (const piece of pieces) {
          if (proto === 'udp') ips.inspect(packet({ proto: PROTO_UDP, payload: piece }), flow);
          else segment(ips, flow, piece);
        }
        return [...new Set(events.take())].sort((a, b) => a - b).join();
      });
      return seen[0] === seen[1];
    }),
    { numRuns: 150 },
  );
  t.pass();
});

test('contents that may lie anywhere behind each other are not tried in every combination', (t) => {
  const chain = `content:"a"; ${'content:"a"; distance:0; '.repeat(6)}content:"b"; distance:0;`;
  const { ips, events } = engine(`alert udp any any -> any any (${chain} sid:1;)`, { withoutPrefilter: true });
  ips.inspect(packet({ proto: PROTO_UDP, payload: 'a'.repeat(1000) }), null);
  t.deepEqual(events.take(), []);
  t.is(ips.context.counters.recursionLimit, 0);
  ips.inspect(packet({ proto: PROTO_UDP, payload: `${'a'.repeat(1000)}b` }), null);
  t.deepEqual(events.take(), [1]);
});

test('recursion is limited and counted', (t) => {
  const chain = `content:"a"; ${'content:"a"; distance:0; within:50; '.repeat(6)}content:"b"; distance:0; within:50;`;
  const { ips, events } = engine(`alert udp any any -> any any (${chain} sid:1;)`, { withoutPrefilter: true });
  ips.inspect(packet({ proto: PROTO_UDP, payload: 'a'.repeat(1000) }), null);
  t.deepEqual(events.take(), []);
  t.is(ips.context.counters.recursionLimit, 1);
});

const BYTES: readonly (readonly [options: string, payload: string, matches: boolean])[] = [
  ['byte_test:2,=,0x0102,0', '\x01\x02', true],
  ['byte_test:2,=,0x0102,0,little', '\x02\x01', true],
  ['byte_test:2,=,0x0102,0,little', '\x01\x02', false],
  ['byte_test:4,>,0x7fffffff,0', '\x80\x00\x00\x00', true],
  ['byte_test:8,=,0x0102030405060708,0', '\x01\x02\x03\x04\x05\x06\x07\x08', true],
  ['byte_test:8,>,18446744073709551614,0', '\xff\xff\xff\xff\xff\xff\xff\xff', true],
  ['byte_test:1,!=,5,0', '\x05', false],
  ['byte_test:1,!<,5,0', '\x05', true],
  ['byte_test:1,&,0x80,0', '\x81', true],
  ['byte_test:1,!&,0x80,0', '\x01', true],
  ['byte_test:1,=,3,0,bitmask 0x30', '\x3f', true],
  ['byte_test:3,=,123,1,string,dec', 'x123', true],
  ['byte_test:4,=,255,0,string,hex', '0xff', true],
  ['byte_test:2,=,9,0,string,oct', '11', true],
  ['byte_test:3,=,0,0,string,dec', 'abc', false],
  ['byte_test:2,=,1,0', '\x01', false],
  ['content:"a"; byte_test:1,=,5,1,relative', 'a.\x05', true],
  ['content:"a"; byte_test:1,=,5,-2,relative', '\x05a', true],
  ['byte_jump:1,0; content:"z"; within:1', '\x02..z', true],
  ['byte_jump:1,0; content:"z"; within:1', '\x03..z', false],
  ['byte_jump:1,0,from_beginning; content:"z"; within:1', '\x02.z', true],
  ['byte_jump:1,0,multiplier 2,post_offset -1; content:"z"; within:1', '\x02...z', true],
  ['byte_jump:1,0,align; content:"z"; within:1', '\x03....z', true],
  ['byte_jump:1,0,from_end,post_offset -3; content:"z"; within:1', '\x01..z.', true],
  ['byte_jump:0,0,from_end,post_offset -1; content:"z"; within:1', '...z', true],
  ['content:"y"; byte_jump:0,0,relative,post_offset -9; content:"z"; within:1', 'z.y', true],
  ['byte_extract:1,0,n; content:"z"; offset:n', '\x03..z', true],
  ['byte_extract:1,0,n; content:"z"; distance:n; within:1', '\x02..z', true],
  ['byte_extract:1,0,n; content:"z"; distance:n; within:1', '\x01..z', false],
  ['byte_extract:1,0,n; byte_test:1,=,n,1', '\x07\x07', true],
  ['byte_extract:1,0,n; isdataat:n', '\x02..', true],
  ['byte_extract:1,0,n; isdataat:!n', '\x03..', true],
  ['byte_math:bytes 1,offset 0,oper +,rvalue 2,result r; byte_test:1,=,r,1', '\x05\x07', true],
  ['byte_math:bytes 1,offset 0,oper <<,rvalue 4,result r; byte_test:1,=,r,1', '\x02\x20', true],
  ['byte_math:bytes 1,offset 0,oper /,rvalue 2,result r,endian little; byte_test:1,=,r,1', '\x09\x04', true],
  ['byte_math:bytes 1,offset 0,oper -,rvalue 1,result r,bitmask 0xf0; byte_test:1,=,r,1', '\x31\x03', true],
  ['isdataat:3', 'abcd', true],
  ['isdataat:4', 'abcd', false],
  ['isdataat:!4', 'abcd', true],
  ['content:"b"; isdataat:2,relative', 'abcd', true],
  ['content:"b"; isdataat:3,relative', 'abcd', false],
  ['content:"b"; isdataat:!3,relative', 'abcd', true],
  ['content:"ab"; startswith', 'xab', false],
  ['content:"ab"; startswith', 'abx', true],
  ['content:"ab"; endswith', 'abab', true],
  ['content:"ab"; endswith', 'abx', false],
  ['content:!"ab"; endswith', 'abx', true],
  ['pcre:"/a.c/"', 'xabc', true],
  ['pcre:!"/a.c/"', 'xabc', false],
  ['content:"x"; pcre:"/^b/R"', 'xb', true],
  ['content:"x"; pcre:"/^b/R"', 'x.b', false],
  ['pcre:"/a/"; content:"b"; distance:0; within:1', 'a.ab', true],
  ['pcre:"/(a+)+$/"', `${'a'.repeat(30)}!`, false],
  ['base64_decode:bytes 8,offset 2; base64_data; content:"hello"', '..aGVsbG8=', true],
  ['content:"="; base64_decode:relative; base64_data; content:"hello"; startswith', 'x=aGVsbG8=', true],
  ['base64_decode; base64_data; content:"zzz"', 'aGVsbG8=', false],
  ['dsize:3', 'abc', true],
  ['dsize:2<>4', 'abc', true],
  ['dsize:3<>5', 'abc', false],
  ['dsize:!3', 'abc', false],
];

for (const [options, payload, matches] of BYTES) {
  test(`${options} ${matches ? 'matches' : 'does not match'} ${JSON.stringify(payload)}`, (t) => {
    const { ips, events } = engine(`alert udp any any -> any any (${options}; sid:1;)`);
    ips.inspect(packet({ proto: PROTO_UDP, payload }), null);
    t.is(events.take().length > 0, matches);
  });
}

test('a pcre that explodes reaches its limit and is counted', (t) => {
  const { ips, events } = engine('alert udp any any -> any any (pcre:"/^(a+)+$/"; sid:1;)');
  ips.inspect(packet({ proto: PROTO_UDP, payload: `${'a'.repeat(40)}!` }), null);
  t.deepEqual(events.take(), []);
  t.is(ips.context.counters.pcreLimit, 1);
});
