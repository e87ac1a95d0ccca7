/** Datasets: the table against a Set, its bound, and rules that share one. */
import fc from 'fast-check';
import test from 'ava';
import { DatasetStore, datasetLine, type DatasetType } from '../../../src/ips/index.js';
import { PROTO_TCP } from '../../../src/packet/index.js';
import { compile, engine, newFlow, packet, TestTransaction } from './helper.js';

test('a dataset is a set of byte strings', (t) => {
  const op = fc.tuple(fc.constantFrom('add', 'remove', 'find'), fc.stringMatching(/^[ab]{0,4}$/));
  fc.assert(
    fc.property(fc.array(op, { maxLength: 300 }), (ops) => {
      const set = new DatasetStore(7).create('s', 'string', 1e6, 16).set;
      const model = new Set<string>();
      for (const [what, text] of ops) {
        const bytes = Buffer.from(`x${text}`);
        if (what === 'add') t.is(set.add(bytes, 1, text.length, 0), !model.has(text) && !!model.add(text));
        else if (what === 'remove') t.is(set.remove(bytes, 1, text.length), model.delete(text));
        else t.is(set.find(bytes, 1, text.length) >= 0, model.has(text));
        t.is(set.size, model.size);
      }
    }),
    { numRuns: 60 },
  );
});

test('what is written is read again as it was', (t) => {
  const cases: [DatasetType, Uint8Array[]][] = [
    ['string', [Buffer.from('a value'), Buffer.from([0, 255, 10])]],
    ['md5', [Buffer.alloc(16, 7)]],
    ['ip', [Uint8Array.of(10, 0, 0, 1), Buffer.from('20010db8000000000000000000000001', 'hex')]],
  ];
  for (const [type, values] of cases) {
    const { set } = new DatasetStore().create('s', type, 1e6, 16);
    for (const value of values) set.add(value, 0, value.length, 0);
    set.add(Buffer.alloc(16, 9), 0, 16, 0);
    set.remove(Buffer.alloc(16, 9), 0, 16);
    const file = Array.from(set.values(), ({ bytes, reputation }) => datasetLine(type, bytes, reputation)).join('\n');
    const rules = compile(`alert http any any -> any any (http.uri; dataset:isset,s,type ${type},load list; sid:1;)`, { readFile: () => Buffer.from(file) });
    t.deepEqual(rules.refusals, []);
    t.deepEqual(Array.from(rules.datasets.get('s')!.values(), ({ bytes }) => Buffer.from(bytes).toString('hex')), values.map((value) => Buffer.from(value).toString('hex')));
  }
});

test('save and state name files beside the rule only', (t) => {
  for (const file of ['/etc/x', '../x', 'a/../../x']) {
    const rules = compile(`alert http any any -> any any (http.uri; dataset:set,s,type string,save ${file}; sid:1;)`);
    t.regex(rules.refusals[0]!.message, /folder/, file);
  }
  const rules = compile('alert http any any -> any any (http.uri; dataset:set,s,type string,state lists/s.lst; sid:1;)');
  t.deepEqual(rules.datasets.kept.map(({ file, ruleFile }) => [file, ruleFile]), [['lists/s.lst', 'test.rules']]);
});

test('it grows up to its memcap and then refuses, counted', (t) => {
  const set = new DatasetStore().create('s', 'string', 4096, 1).set;
  let added = 0;
  for (let i = 0; i < 1000; i++) if (set.add(Buffer.from(`value ${i}`), 0, 7 + String(i).length - 1, 0)) added++;
  t.true(added > 50 && added < 200, `${added}`);
  t.is(set.refused, 1000 - added);
  t.true(set.find(Buffer.from('value 0'), 0, 7) >= 0);
});

test('set matches what is new, isset and isnotset ask, across rules and sources', (t) => {
  const { ips, events } = engine(
    'alert http any any -> any any (http.host; dataset:isset,seen,type string; sid:1;)\n' +
      'alert http any any -> any any (http.host; dataset:isnotset,seen,type string; sid:2;)\n' +
      'alert http any any -> any any (http.host; dataset:set,seen,type string; sid:3;)\n' +
      'alert http any any -> any any (http.user_agent; datarep:rep,>,10,type string,load rep; sid:4;)',
    { readFile: () => Buffer.from(`${Buffer.from('bad').toString('base64')},20\n${Buffer.from('good').toString('base64')},5\n`) },
  );
  const seen: number[][] = [];
  for (const [host, agent] of [['a', 'bad'], ['a', 'good'], ['b', 'none']] as const) {
    const flow = newFlow(PROTO_TCP, 1);
    const tx = new TestTransaction().set('http.host', host).set('http.user_agent', agent);
    tx.progressToServer = 9;
    flow.transactions.push(tx);
    ips.inspect(packet(), flow);
    seen.push(events.take());
  }
  t.deepEqual(seen, [[2, 3, 4], [1], [2, 3]]);
});

test('a store handed on keeps what was collected', (t) => {
  const datasets = new DatasetStore();
  const rule = 'alert http any any -> any any (http.host; dataset:set,seen,type string; sid:1;)';
  const alerts = [1, 2].map(() => {
    const { ips, events } = engine(rule, { datasets });
    const flow = newFlow(PROTO_TCP, 1);
    const tx = new TestTransaction().set('http.host', 'a');
    tx.progressToServer = 9;
    flow.transactions.push(tx);
    ips.inspect(packet(), flow);
    return events.take();
  });
  t.deepEqual(alerts, [[1], []]);
});
