/**
 * Rules are judged in groups with one bit per rule and with remembered answers. That has to give what judging every rule on
 * every value gives: each random rule is written twice, once as it is, once with its argument behind a macro, which takes it
 * out of all groups and caches.
 */
import test from 'ava';
import fc from 'fast-check';
import { engineOf, exchange, FORM } from '../../helpers/web-rules.js';

const word = fc.constantFrom('a', 'b', 'ab', 'A', 'aB', '%61', 'x y', '1', '');
const name = fc.constantFrom('a', 'b', 'A', 'x_1', 'cookie');
const targets = fc.uniqueArray(fc.constantFrom('ARGS', 'ARGS:a', 'ARGS_NAMES', 'REQUEST_HEADERS', 'REQUEST_HEADERS:X-A', 'REQUEST_COOKIES', 'ARGS_POST', 'REQUEST_URI', 'REQUEST_BODY', 'RESPONSE_BODY'), { minLength: 1, maxLength: 4 });
const exclusion = fc.constantFrom('', '', '|!ARGS:b', '|!ARGS:/^x/', '|!REQUEST_HEADERS:Host', '|!REQUEST_COOKIES');
const rule = fc.record({
  targets,
  exclusion,
  negated: fc.boolean(),
  operator: fc.constantFrom('contains', 'streq', 'beginsWith', 'within', 'rx', 'pm', 'ge'),
  argument: fc.constantFrom('a', 'ab', 'b', 'A', '1', 'x y'),
  transformations: fc.array(fc.constantFrom('lowercase', 'urlDecode', 'removeWhitespace', 'trim', 'length'), { maxLength: 3 }),
  multiMatch: fc.boolean(),
  phase: fc.integer({ min: 1, max: 5 }),
  chained: fc.boolean(),
});
const pairs = fc.array(fc.tuple(name, word), { maxLength: 5 });

type RandomRule = { targets: string[]; exclusion: string; negated: boolean; operator: string; argument: string; transformations: string[]; multiMatch: boolean; phase: number; chained: boolean };

function text(r: RandomRule, id: number, argument: string): string {
  const actions = [`id:${id}`, `phase:${r.phase}`, 'pass', 'log', 't:none', ...r.transformations.map((t) => `t:${t}`), ...(r.multiMatch ? ['multiMatch'] : []), ...(r.chained ? ['chain'] : [])];
  const rule = `SecRule ${r.targets.join('|')}${r.exclusion} "${r.negated ? '!' : ''}@${r.operator} ${argument}" "${actions.join(',')}"`;
  return r.chained ? `${rule}\n  SecRule MATCHED_VARS "@contains a" "t:lowercase"` : rule;
}

function query(list: readonly (readonly [string, string])[]): string {
  return list.map(([n, v]) => `${n}=${v.replaceAll(' ', '+')}`).join('&');
}

test('grouped and single judging agree', (t) => {
  fc.assert(
    fc.property(fc.array(rule, { minLength: 1, maxLength: 6 }), fc.array(fc.record({ get: pairs, post: pairs, cookies: pairs, header: word, page: word }), { minLength: 1, maxLength: 3 }), (rules, requests) => {
      const lines: string[] = [];
      rules.forEach((r, i) => {
        lines.push(`SecAction "id:${9000 + i},phase:1,pass,nolog,setvar:'tx.p${i}=${r.argument}'"`, text(r, i + 1, r.argument), text(r, 1001 + i, `%{tx.p${i}}`));
      });
      const engine = engineOf(lines.join('\n'), { prefilter: null });
      // the same engine for all requests: what it remembers of one must not show in the next
      for (const { get, post, cookies, header, page } of requests) {
        const { report } = exchange(engine, {
          target: `/?${query(get)}`,
          headers: { ...FORM, 'X-A': header, Cookie: cookies.map(([n, v]) => `${n}=${v}`).join('; ') },
          body: query(post),
          responseBody: page,
        });
        const seen = (base: number, i: number): string => report.matches.filter((m) => m.id === base + i).map((m) => `${m.variable} ${m.value}`).join('\n');
        rules.forEach((r, i) => {
          const grouped = seen(1, i);
          const single = seen(1001, i);
          if (grouped !== single) throw new Error(`${text(r, i + 1, r.argument)}\ngrouped: ${grouped}\nsingle:  ${single}`);
        });
      }
    }),
    { numRuns: 400 },
  );
  t.pass();
});
