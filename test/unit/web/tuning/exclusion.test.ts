import test from 'ava';
import fc from 'fast-check';
import { compileWebEngine, webRefusals, webSources } from '../../../../src/appliance/web-rules.js';
import { exclusionId, exclusionText, exclusionsFor, pathOf, rehearse, type BlockedTransaction, type Exclusion, type WebEngine } from '../../../../src/web/index.js';
import { crsEngine, webConfig } from '../../../helpers/crs-engine.js';

const NOW = 1_700_000_000;
const EXPIRES = NOW + 86_400;

function compiled(text: string, nowSec = NOW): WebEngine {
  const engine = compileWebEngine(webSources(webConfig(), { before: [], after: [] }, [{ name: 'exclusions', text }]), () => nowSec * 1000, 'none');
  const refused = webRefusals(engine.ruleSet);
  if (refused.length > 0) throw new Error(refused.join('\n'));
  return engine;
}

/** Judge a GET; the event of it as `web tune` reads it. */
function judge(engine: WebEngine, target: string, fields: readonly string[] = []): { blocked: boolean; tx: BlockedTransaction } {
  const all = ['Host', 'shop.example', 'User-Agent', 'Mozilla/5.0', 'Accept', '*/*', ...fields];
  const tx = engine.transaction({ clientAddress: '192.0.2.1', clientPort: 1, serverAddress: '192.0.2.2', serverPort: 80 }, 'a-b-0', { mode: 'on' });
  const decided = tx.requestHeaders({ line: `GET ${target} HTTP/1.1`, method: 'GET', target, protocol: 'HTTP/1.1', fields: all }) ?? tx.endRequestBody();
  const { matches } = tx.logging();
  const rules = matches.map((m) => ({ id: m.id, message: m.message, variable: m.variable, scored: Object.keys(m.scores).length > 0 }));
  return { blocked: decided !== null, tx: { transactionId: 'a-b-0', host: 'shop.example', method: 'GET', url: target, decidedBy: decided?.ruleId ?? 0, rules } };
}

function textOf(exclusions: readonly Exclusion[]): string {
  const taken = new Set<number>();
  return exclusions
    .map((e) => {
      const id = exclusionId(e, taken);
      taken.add(id);
      return exclusionText(e, id, 'Test.');
    })
    .join('\n');
}

const SQL = encodeURIComponent("1' UNION SELECT a FROM b--");

test('the exclusions of a false block undo it, and nothing beside it', (t) => {
  const { blocked, tx } = judge(crsEngine(), `/report?q=${SQL}`);
  t.true(blocked);
  const exclusions = exclusionsFor(tx, { expires: EXPIRES, prefix: false });
  t.true(exclusions.length > 1);
  t.true(exclusions.every((e) => e.target === 'ARGS:q' && e.path === '/report' && e.host === 'shop.example'));
  const after = compiled(textOf(exclusions));
  t.false(judge(after, `/report?q=${SQL}`).blocked);
  t.false(judge(after, `/report?a=b&q=${SQL}`).blocked);
  for (const target of [`/report?other=${SQL}`, `/report/x?q=${SQL}`, `/?q=${SQL}`]) t.true(judge(after, target).blocked, target);
  t.true(judge(after, `/report?q=${encodeURIComponent('<script>alert(1)</script>')}`).blocked, 'other rules hold');
  t.true(judge(compiled(textOf(exclusions), EXPIRES + 1), `/report?q=${SQL}`).blocked, 'until it expires');
});

test('names and paths with odd characters still name what they named', (t) => {
  for (const name of ['a b', 'x"y', "it's", 'a,b;c', 'ü', 'a|b', 'arr[0][n]', '%{tx.x}', '$.a:b']) {
    const target = `/odd/"path"/%7Bx%7D?${encodeURIComponent(name)}=${SQL}&z=1`;
    const { blocked, tx } = judge(crsEngine(), target);
    t.true(blocked, name);
    const exclusions = exclusionsFor(tx, { expires: EXPIRES, prefix: false }).filter((e) => e.ruleId >= 942000 && e.ruleId < 943000);
    const after = compiled(textOf(exclusions));
    const left = judge(after, target).tx.rules.filter((r) => r.id >= 942000 && r.id < 943000);
    t.deepEqual(left, [], name);
  }
});

test('a prefix covers what begins so; without a host any host is meant', (t) => {
  const { tx } = judge(crsEngine(), `/blog/7?q=${SQL}`);
  const exclusions = exclusionsFor({ ...tx, host: '', url: '/blog/' }, { expires: EXPIRES, prefix: true });
  const after = compiled(textOf(exclusions));
  t.false(judge(after, `/blog/8?q=${SQL}`).blocked);
  t.true(judge(after, `/log/8?q=${SQL}`).blocked);
});

test('a rule that matched no parameter is left out as a whole, there', (t) => {
  const tx: BlockedTransaction = { transactionId: 'x', host: 'shop.example', method: 'GET', url: '/a', decidedBy: 7, rules: [{ id: 920350, message: 'm', variable: 'TX:x', scored: true }, { id: 949110, message: 'sum', variable: 'TX:s', scored: false }] };
  const exclusions = exclusionsFor(tx, { expires: EXPIRES, prefix: false });
  t.deepEqual(exclusions.map((e) => [e.ruleId, e.target]), [[920350, null]]);
  t.regex(textOf(exclusions), /ctl:ruleRemoveById=920350/);
  t.deepEqual(exclusionsFor({ ...tx, rules: [{ id: 7, message: 'own', variable: 'REQUEST_URI', scored: false }] }, { expires: EXPIRES, prefix: false }).map((e) => e.target), ['REQUEST_URI'], 'without scoring, the rule that decided');
  t.deepEqual(exclusionsFor({ ...tx, rules: [] }, { expires: EXPIRES, prefix: false }), []);
});

test('ids are stable, in the local range and never taken twice', (t) => {
  const e: Exclusion = { ruleId: 1, message: '', host: 'h', path: '/', prefix: false, target: null, expires: 1 };
  const first = exclusionId(e, new Set());
  t.is(exclusionId(e, new Set()), first);
  t.not(exclusionId(e, new Set([first])), first);
  fc.assert(fc.property(fc.string(), fc.nat(), (path, ruleId) => {
    const id = exclusionId({ ...e, path, ruleId }, new Set());
    return id >= 20_000 && id <= 89_999;
  }));
});

test('path of a target', (t) => {
  for (const [target, path] of [['/a?b', '/a'], ['/a#b', '/a'], ['http://h:1/a/b?c', '/a/b'], ['http://h', '/'], ['', '/'], ['*', '*']] as const) t.is(pathOf(target), path, target);
});

test('a rehearsal counts what is lost there and nothing elsewhere', (t) => {
  const { tx } = judge(crsEngine(), `/report?q=${SQL}`);
  const exclusions = exclusionsFor(tx, { expires: EXPIRES, prefix: false });
  const attacks = [{ class: 'sql', payload: "1' UNION SELECT a FROM b--" }, { class: 'xss', payload: '<script>alert(1)</script>' }, { class: 'none', payload: 'hello' }];
  for (const method of ['GET', 'POST']) {
    const { exempted, elsewhere } = rehearse(crsEngine(), compiled(textOf(exclusions)), {}, exclusions[0]!, method, attacks);
    t.deepEqual(exempted, [
      { class: 'sql', attacks: 1, before: 1, after: 0, lost: [attacks[0]!.payload] },
      { class: 'xss', attacks: 1, before: 1, after: 1, lost: [] },
      { class: 'none', attacks: 1, before: 0, after: 0, lost: [] },
    ]);
    t.deepEqual(elsewhere.map((row) => [row.before, row.after]), [[2, 2], [2, 2], [0, 0]]);
  }
});
