/** What the engine remembers when it goes on with other rules. */
import test, { type ExecutionContext } from 'ava';
import { Ips, RuleSet, type RuleSetOptions } from '../../../src/ips/index.js';
import { Verdict } from '../../../src/pipeline/index.js';
import { PROTOCOLS, Recorder, TestTransaction, bytes, feed, newFlow, packet } from './helper.js';

const HTTP = 1;

class Engine {
  readonly events = new Recorder();
  rules!: RuleSet;
  ips!: Ips;

  constructor(
    readonly t: ExecutionContext,
    text: string,
    readonly options: RuleSetOptions = {},
  ) {
    this.load(text);
  }

  /** The next generation. */
  load(text: string): void {
    const previous = this.rules as RuleSet | undefined;
    this.rules = RuleSet.compile([{ file: 'test.rules', text }], PROTOCOLS, {
      ...this.options,
      generation: (previous?.generation ?? 0) + 1,
      ...(previous ? { previous, names: previous.names, datasets: previous.datasets.next() } : {}),
    });
    this.t.deepEqual(this.rules.refusals, []);
    this.ips = new Ips(this.rules, this.events, this.ips ? { previous: this.ips } : {});
  }
}

const SET = 'alert tcp any any -> any any (content:"one"; flowbits:set,seen; flowint:n,=,5; noalert; sid:1;)';
const ASK = 'drop tcp any any -> any any (content:"two"; flowbits:isset,seen; flowint:n,==,5; sid:2;)';

test('flowbits and flowints keep their meaning when rules come before them', (t) => {
  const e = new Engine(t, `${SET}\n${ASK}`);
  const flow = newFlow();
  const send = (text: string): number => {
    feed(flow, 0, text);
    return e.ips.inspect(packet({ payload: text }), flow);
  };
  t.is(send('one'), Verdict.NONE);
  e.load(`alert tcp any any -> any any (content:"zero"; flowbits:set,another; flowint:m,=,1; sid:9;)\n${SET}\n${ASK}`);
  t.is(send('two'), Verdict.DROP_FLOW);
  t.deepEqual(e.events.take(), [2]);
});

test('thresholds go on counting, unless they say something else now', (t) => {
  const rule = (count: number): string => `alert udp any any -> any any (content:"x"; threshold:type limit, track by_src, count ${count}, seconds 60; sid:1;)`;
  const e = new Engine(t, rule(2));
  const send = (): number[] => {
    e.ips.inspect(packet({ proto: 17, payload: 'x' }), null);
    return e.events.take();
  };
  t.deepEqual([send(), send(), send()], [[1], [1], []]);
  e.load(`${rule(2)}\nalert udp any any -> any any (content:"y"; sid:2;)`);
  t.deepEqual(send(), []);
  e.load(rule(3));
  t.deepEqual([send(), send(), send(), send()], [[1], [1], [1], []]);
  t.is(e.ips.counters.matches, 8, 'counters go on, too');
});

test('datasets keep what rules collected; a list that changed is read again', (t) => {
  let list = Buffer.from('bad').toString('base64');
  const RULES = `alert http any any -> any any (http.uri; dataset:set,seen,type string; sid:1;)
alert http any any -> any any (http.uri; dataset:isset,list,type string,load list.txt; sid:2;)`;
  const e = new Engine(t, RULES, { readFile: () => bytes(list) });
  const request = (uri: string): number[] => {
    const flow = newFlow(6, HTTP);
    const tx = new TestTransaction().set('http.uri', uri);
    Object.assign(tx, { progressToServer: 9, doneToServer: true, dirtyToServer: true });
    flow.transactions.push(tx);
    e.ips.inspect(packet(), flow);
    return e.events.take();
  };
  t.deepEqual(request('good'), [1]);
  t.deepEqual(request('bad'), [1, 2]);
  e.load(RULES);
  t.deepEqual(request('good'), []);
  t.deepEqual(request('bad'), [2]);
  list = Buffer.from('good').toString('base64');
  e.load(RULES);
  t.deepEqual(request('good'), [2]);
  t.deepEqual(request('bad'), []);
});

test('a transaction under way does not alert again by rules that stay, and meets those that are new', (t) => {
  const FIRST = 'alert http any any -> any any (http.uri; content:"/a"; sid:1;)';
  const SECOND = 'alert http any any -> any any (http.uri; content:"/a"; http.header; content:"evil"; sid:2;)';
  const THIRD = 'alert http any any -> any any (http.uri; content:"a"; http.header; content:"evil"; sid:3;)';
  const e = new Engine(t, `${FIRST}\n${SECOND}`);
  const flow = newFlow(6, HTTP);
  const tx = new TestTransaction().set('http.uri', '/a');
  Object.assign(tx, { progressToServer: 1, dirtyToServer: true });
  flow.transactions.push(tx);
  e.ips.inspect(packet(), flow);
  t.deepEqual(e.events.take(), [1]);
  e.load(`${THIRD}\n${FIRST}\n${SECOND}`);
  tx.set('http.header', 'x: evil');
  Object.assign(tx, { progressToServer: 2, dirtyToServer: true });
  e.ips.inspect(packet(), flow);
  t.deepEqual(e.events.take().sort(), [2, 3]);
});

test('rules about a flow as a whole: the new ones count for flows that are there, the others once', (t) => {
  const OLD = 'alert ip 192.168.1.10 any -> any any (msg:"old"; sid:1;)';
  const e = new Engine(t, OLD);
  const flow = newFlow();
  const send = (): number[] => {
    e.ips.inspect(packet(), flow);
    return e.events.take();
  };
  t.deepEqual([send(), send()], [[1], []]);
  e.load(`${OLD}\nalert ip any any -> 10.0.0.5 any (msg:"new"; sid:2;)`);
  t.deepEqual([send(), send()], [[2], []]);
  e.load(`${OLD}\nalert ip any any -> 10.0.0.5 any (msg:"new, changed"; sid:2;)`);
  e.load(OLD);
  t.deepEqual(send(), [1], 'two generations further nothing is known about the flow');
});

test('a stream rule waits on for the rest of its match', (t) => {
  const RULE = 'alert tcp any any -> any any (content:"first part"; content:"second"; sid:1;)';
  const e = new Engine(t, RULE);
  const flow = newFlow();
  const send = (text: string): number[] => {
    feed(flow, 0, text);
    e.ips.inspect(packet({ payload: text }), flow);
    return e.events.take();
  };
  t.deepEqual(send('first part '), []);
  e.load(`alert tcp any any -> any any (content:"other"; sid:3;)\n${RULE}`);
  t.deepEqual(send('second'), [1]);
});
