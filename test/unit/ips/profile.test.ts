/** What rules cost, with a clock that ticks at every look. */
import test from 'ava';
import { explainRule, RuleProfile } from '../../../src/ips/index.js';
import { TestTransaction, engine, newFlow, packet } from './helper.js';

test('checks, matches and time are counted per rule', (t) => {
  let now = 0;
  const profile = new RuleProfile(() => now++);
  const { ips, rules } = engine(`alert udp any any -> any any (content:"abc"; sid:1;)
alert udp any any -> any any (content:"abc"; content:"xyz"; sid:2;)
alert udp any any -> any any (content:"never"; sid:3;)
alert http any any -> any any (http.uri; content:"/a"; sid:4;)`, { profile });
  const of = (sid: number): [number, number, number] => {
    const { index } = rules.find(1, sid)!;
    return [profile.checks[index]!, profile.matches[index]!, profile.time[index]!];
  };
  for (const payload of ['abc', 'abc xyz', 'other']) ips.inspect(packet({ proto: 17, payload }), null);
  const flow = newFlow(6, 1);
  const tx = new TestTransaction().set('http.uri', '/a');
  Object.assign(tx, { progressToServer: 9, doneToServer: true });
  flow.transactions.push(tx);
  ips.inspect(packet(), flow);
  t.deepEqual(of(1), [2, 2, 2]);
  t.deepEqual(of(2), [2, 1, 2]);
  t.deepEqual(of(3), [0, 0, 0], 'its pattern never occurred');
  t.deepEqual(of(4), [1, 1, 1]);
});

test('explain names the databases that find a rule', (t) => {
  const { rules } = engine(`alert http any any -> any any (http.uri; content:"/evil"; sid:1;)
alert tcp any any -> any 80 (flow:to_server; content:"stream"; sid:2;)
alert udp any any -> any any (content:"datagram"; sid:3;)
alert ip any any -> any any (sid:4;)`);
  const names = (sid: number): string[] => explainRule(rules, 1, sid)!.groups.map(({ name, patterns }) => `${name}: ${patterns}`);
  t.deepEqual(names(1), ['http http.uri to server: 1', 'http2 http.uri to server: 1']);
  t.deepEqual(names(2), ['stream to server: 1']);
  t.deepEqual(names(3), ['UDP packets to server: 1', 'UDP packets to client: 1']);
  t.deepEqual(names(4), []);
});
