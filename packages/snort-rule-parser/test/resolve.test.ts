import test from 'ava';
import fc from 'fast-check';
import {
  AddressResolver, ipv4Cidrs, ipv6Cidrs, parseAddressExpr, parsePortExpr, parseRule, placeOf, resolveAddress, resolvePorts,
  type AddressExpr, type PortExpr,
} from '../src/index.js';

function address(text: string): AddressExpr {
  const { expr, problem } = parseAddressExpr(text);
  if (expr === null) throw new Error(problem.message);
  return expr;
}

function ports(text: string): PortExpr {
  const { expr, problem } = parsePortExpr(text);
  if (expr === null) throw new Error(problem.message);
  return expr;
}

const VARS: Readonly<Record<string, string>> = {
  HOME_NET: '[192.168.0.0/16,10.0.0.0/8,!10.1.0.0/16]',
  EXTERNAL_NET: '!$HOME_NET',
  DMZ: '10.2.0.1',
  A: '[$B]', B: '!$C', C: '$A',
  BROKEN: '[10.0.0.0/8',
  MISSING: '$NOWHERE',
  HTTP_PORTS: '[80,8080:8090]',
  NOT_HTTP: '!$HTTP_PORTS',
};

const lookup = (name: string): string | undefined => VARS[name];

/** Expression to the IPv4 half of its set, as text. */
function v4(text: string): string {
  const { set, error } = resolveAddress(address(text), lookup);
  if (error !== null) return `${error.kind}@${error.column}`;
  const dotted = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
  return set.v4.map(({ first, last }) => `${dotted(first)}-${dotted(last)}`).join(' ');
}

const ADDRESSES: readonly (readonly [string, string])[] = [
  ['any', '0.0.0.0-255.255.255.255'],
  ['10.1.2.3/8', '10.0.0.0-10.255.255.255'],
  ['10.0.0.0/255.255.0.0', '10.0.0.0-10.0.255.255'],
  ['1.1.1.1-1.1.1.9', '1.1.1.1-1.1.1.9'],
  ['[1.1.1.4,1.1.1.1-1.1.1.3,1.1.1.2]', '1.1.1.1-1.1.1.4'],
  ['[10.0.0.0/8,!10.0.0.0/9]', '10.128.0.0-10.255.255.255'],
  ['!1.2.3.4', '0.0.0.0-1.2.3.3 1.2.3.5-255.255.255.255'],
  ['[!0.0.0.0/1,!128.0.0.1]', '128.0.0.0-128.0.0.0 128.0.0.2-255.255.255.255'],
  ['$HOME_NET', '10.0.0.0-10.0.255.255 10.2.0.0-10.255.255.255 192.168.0.0-192.168.255.255'],
  ['$EXTERNAL_NET', '0.0.0.0-9.255.255.255 10.1.0.0-10.1.255.255 11.0.0.0-192.167.255.255 192.169.0.0-255.255.255.255'],
  ['!$EXTERNAL_NET', '10.0.0.0-10.0.255.255 10.2.0.0-10.255.255.255 192.168.0.0-192.168.255.255'],
  ['[$HOME_NET,!$DMZ,!192.168.0.0/16]', '10.0.0.0-10.0.255.255 10.2.0.0-10.2.0.0 10.2.0.2-10.255.255.255'],
  ['fe80::/10', ''],
  ['!any', 'empty-set@1'],
  ['[10.0.0.0/8, !any]', 'empty-set@1'],
  ['[$DMZ,$NONE]', 'unknown-variable@7'],
  ['[any,$A]', 'variable-cycle@6'],
  ['$BROKEN', 'bad-address@1'],
  ['[$MISSING]', 'unknown-variable@2'],
];

for (const [text, expected] of ADDRESSES) {
  test(`address ${text}`, (t) => t.is(v4(text), expected));
}

test('IPv6 sets, flags', (t) => {
  const { set } = resolveAddress(address('[2001:db8::/127,::1,!::1]'), lookup);
  t.deepEqual(set, {
    v4: [], v6: [{ first: 0x2001_0db8n << 96n, last: (0x2001_0db8n << 96n) + 1n }], any: false, negated: true,
  });
  t.true(resolveAddress(address('any'), lookup).set!.any);
  t.true(resolveAddress(address('[0.0.0.0/0,::/0]'), lookup).set!.any);
  t.true(resolveAddress(address('$EXTERNAL_NET'), lookup).set!.negated);
});

test('errors name the chain and point into the rule', (t) => {
  const { rule } = parseRule('alert tcp any any -> \\\n [1.1.1.1, $A] $P (sid:1;)', { file: 'r' });
  const { error } = resolveAddress(rule!.destinationAddress, lookup, placeOf(rule!, 'destinationAddress'));
  t.like(error, { kind: 'variable-cycle', file: 'r', line: 2, column: 12, offset: 34, token: '$A' });
  const spread = parseRule('alert tcp any any -> [1.1.1.1, \\\n $A] any (sid:1;)').rule!;
  const late = resolveAddress(spread.destinationAddress, lookup, placeOf(spread, 'destinationAddress'));
  t.like(late.error, { line: 2, column: 2, token: '$A' });
  t.regex(error!.message, /\$A -> \$B -> \$C -> \$A/);
  const port = resolvePorts(rule!.destinationPort, lookup, placeOf(rule!, 'destinationPort'));
  t.like(port.error, { kind: 'unknown-variable', line: 2, column: 16, token: '$P' });
});

test('a resolver gives the same answer again, failures included', (t) => {
  const resolver = new AddressResolver(lookup);
  const cyclic = address('$B');
  t.is(resolver.resolve(cyclic).error?.kind, 'variable-cycle');
  t.is(resolver.resolve(cyclic).error?.kind, 'variable-cycle');
  t.is(resolver.resolve(address('$A')).error?.kind, 'variable-cycle');
  t.is(resolver.resolve(address('$DMZ')).set?.v4[0]?.first, 0x0a02_0001);
});

test('variables that multiply are bounded', (t) => {
  const doubling = (name: string): string => (name === 'V60' ? '1.1.1.1' : `[$V${Number(name.slice(1)) + 1},$V${Number(name.slice(1)) + 1}]`);
  t.is(resolveAddress(address('$V0'), doubling).set?.v4.length, 1);
  t.is(resolveAddress(address('$V0'), (name) => `$${name}x`).error?.kind, 'limit');
  const many = `[${Array.from({ length: 400 }, (_, index) => `10.0.${index >> 7}.${(index & 127) * 2}`).join(',')}]`;
  const wide = `[${Array.from({ length: 400 }, () => '$M').join(',')}]`;
  t.is(resolveAddress(address(wide), () => many).error?.kind, 'limit');
});

test('ports', (t) => {
  t.deepEqual(resolvePorts(ports('$NOT_HTTP'), lookup).set?.ranges, [
    { first: 0, last: 79 }, { first: 81, last: 8079 }, { first: 8091, last: 65_535 },
  ]);
  t.deepEqual(resolvePorts(ports('[80,81:90,:5,65000:]'), lookup).set?.ranges, [
    { first: 0, last: 5 }, { first: 80, last: 90 }, { first: 65_000, last: 65_535 },
  ]);
  t.is(resolvePorts(ports('!0:65535'), lookup).error?.kind, 'empty-set');
});

/** Slow and obvious: is the port in the set the expression stands for? */
function contains(expr: PortExpr, port: number): boolean {
  const positive = (): boolean => {
    switch (expr.kind) {
      case 'any': return true;
      case 'port': return expr.first <= port && port <= expr.last;
      case 'variable': return contains(ports(VARS[expr.name]!), port);
      case 'list': {
        const wanted = expr.items.filter((item) => !item.negated);
        const unwanted = expr.items.filter((item) => item.negated);
        // A negated item contains what it does not exclude.
        return (wanted.length === 0 || wanted.some((item) => contains(item, port))) && unwanted.every((item) => contains(item, port));
      }
    }
  };
  return positive() !== expr.negated;
}

const { portText } = fc.letrec<{ portText: string }>((tie) => ({
  portText: fc.tuple(fc.constantFrom('', '!'), fc.oneof(
    { depthSize: 'small' },
    fc.integer({ min: 0, max: 40 }).map(String),
    fc.tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 20, max: 40 })).map(([low, high]) => `${low}:${high}`),
    fc.constantFrom('any', ':10', '30:', '$HTTP_PORTS'),
    fc.array(tie('portText'), { minLength: 1, maxLength: 4 }).map((items) => `[${items.join(',')}]`),
  )).map(([sign, text]) => sign + text),
}));

test('sets agree with a naive membership test', (t) => {
  const probes = [...Array.from({ length: 45 }, (_, port) => port), 79, 80, 81, 8080, 8090, 8091, 65_535];
  fc.assert(fc.property(portText, (text) => {
    const expr = ports(text);
    const { set } = resolvePorts(expr, lookup);
    for (const port of probes) {
      const found = set?.ranges.some(({ first, last }) => first <= port && port <= last) ?? false;
      if (found !== contains(expr, port)) return false;
    }
    return set === null || set.ranges.every((range, index) => index === 0 || range.first > set.ranges[index - 1]!.last + 1);
  }));
  t.pass();
});

test('ranges to prefixes', (t) => {
  t.deepEqual(ipv4Cidrs({ first: 0x0a00_0001, last: 0x0a00_0006 }), [
    { address: 0x0a00_0001, prefix: 32 }, { address: 0x0a00_0002, prefix: 31 },
    { address: 0x0a00_0004, prefix: 31 }, { address: 0x0a00_0006, prefix: 32 },
  ]);
  t.deepEqual(ipv4Cidrs({ first: 0, last: 0xffff_ffff }), [{ address: 0, prefix: 0 }]);
  t.is(ipv4Cidrs({ first: 1, last: 0xffff_fffe }).length, 62);
  t.is(ipv6Cidrs({ first: 1n, last: (1n << 128n) - 2n }).length, 254);
});
