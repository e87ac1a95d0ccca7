/** Policies that select rules, and the same frame judged between VMs whose policies differ. */
import test from 'ava';
import { PortPolicies, selectRules, sidRange, type RulePolicy, type RuleSet } from '../../../src/ips/index.js';
import { Verdict } from '../../../src/pipeline/index.js';
import { compile as compileRules, engine, packet } from './helper.js';

const RULES = `alert udp any any -> any any (msg:"ET MALWARE beacon"; content:"a"; classtype:trojan-activity; metadata:signature_severity Major, deployment Perimeter; sid:2000001;)
drop udp any any -> any any (msg:"ET POLICY chat"; content:"b"; classtype:policy-violation; metadata:signature_severity Minor; sid:2000002;)
drop udp any any -> any any (msg:"local"; content:"c"; priority:1; sid:1000001;)
alert udp any any -> any any (msg:"other generator"; content:"d"; gid:3; sid:7;)`;

function selected(rules: RuleSet, policy: Partial<RulePolicy>, which: 'enabled' | 'detectOnly' = 'enabled'): number[] {
  const bitmap = selectRules(rules, { base: 'all', rules: [], ...policy })[which];
  return rules.rules.filter(({ index }) => (bitmap[index >>> 5]! & (1 << (index & 31))) !== 0).map(({ info }) => info.sid).sort((a, b) => a - b);
}

test('selectors', (t) => {
  const rules = compileRules(RULES);
  const ALL = [7, 1000001, 2000001, 2000002];
  const cases: [RulePolicy['rules'][number], number[]][] = [
    [{ disable: {} }, []],
    [{ disable: { sid: [2000001] } }, [7, 1000001, 2000002]],
    [{ disable: { sid: ['2000000-2000999'] } }, [7, 1000001]],
    [{ disable: { gid: [3] } }, [1000001, 2000001, 2000002]],
    [{ disable: { classtype: ['policy-violation', 'none'] } }, [7, 1000001, 2000001]],
    [{ disable: { priority: [1] } }, [7]],
    [{ disable: { file: ['te*.rules'] } }, []],
    [{ disable: { file: ['tes', 'test_rules', '*.conf'] } }, ALL],
    [{ disable: { group: ['et malware'] } }, [7, 1000001, 2000002]],
    [{ disable: { group: ['et mal'] } }, ALL],
    [{ disable: { metadata: { signature_severity: ['major', 'Critical'] } } }, [7, 1000001, 2000002]],
    [{ disable: { metadata: { signature_severity: ['Major'], deployment: ['Internal'] } } }, ALL],
    [{ disable: { classtype: ['trojan-activity'], priority: [2] } }, ALL],
  ];
  for (const [step, sids] of cases) t.deepEqual(selected(rules, { rules: [step] }), sids, JSON.stringify(step));
  t.deepEqual(selected(rules, { base: 'none', rules: [{ enable: { group: ['ET'] } }, { disable: { sid: [2000002] } }] }), [2000001], 'in order, the last one decides');
  t.deepEqual(selected(rules, { rules: [{ detect: {} }, { prevent: { sid: [1000001] } }] }, 'detectOnly'), [7, 2000001, 2000002]);
  t.is(selectRules(rules, { base: 'none', rules: [] }).count, 0);
});

test('sids and ranges', (t) => {
  t.deepEqual(sidRange(5), { first: 5, last: 5 });
  t.deepEqual(sidRange('5-9'), { first: 5, last: 9 });
  for (const wrong of ['9-5', '', 'x', '1-', '1.5', '-3', '12345678901']) t.is(sidRange(wrong), null, wrong);
});

test('the same frame between VMs with differing policies', (t) => {
  const { ips, events, rules } = engine('drop udp any any -> any any (content:"a"; sid:1;)\npass udp any any -> any any (content:"p"; sid:2;)\ndrop udp any any -> any any (content:"p"; sid:3;)');
  const policy = (steps: RulePolicy['rules'], base: RulePolicy['base'] = 'all'): ReturnType<typeof selectRules> => selectRules(rules, { base, rules: steps });
  const [PREVENTS, DETECTS, QUIET, WITHOUT, OFF] = [0, 1, 2, 3, 4];
  ips.ports.set(PREVENTS, PortPolicies.PREVENT, null);
  ips.ports.set(DETECTS, PortPolicies.DETECT, null);
  ips.ports.set(QUIET, PortPolicies.PREVENT, policy([{ detect: { sid: [1] } }]));
  ips.ports.set(WITHOUT, PortPolicies.PREVENT, policy([{ enable: { sid: [3] } }], 'none'));
  ips.ports.set(OFF, PortPolicies.OFF, null);
  const send = (from: number, to: number, payload: string): [number, number[]] => {
    const view = packet({ proto: 17, payload });
    view.ingress = from;
    view.egress = to;
    const verdict = ips.inspect(view, null);
    return [verdict, events.take()];
  };
  t.deepEqual(send(PREVENTS, OFF, 'a'), [Verdict.DROP, [1]]);
  t.deepEqual(send(OFF, PREVENTS, 'a'), [Verdict.DROP, [1]]);
  t.deepEqual(send(DETECTS, OFF, 'a'), [Verdict.NONE, [1]]);
  t.deepEqual(send(DETECTS, PREVENTS, 'a'), [Verdict.DROP, [1]], 'either side is enough');
  t.deepEqual(send(QUIET, QUIET, 'a'), [Verdict.NONE, [1]], 'detect-only inside prevent');
  t.deepEqual(send(DETECTS, WITHOUT, 'a'), [Verdict.NONE, [1]], 'a prevent mode without the rule does not make the rule drop');
  t.deepEqual(send(WITHOUT, OFF, 'a'), [Verdict.NONE, []]);
  t.deepEqual(send(PREVENTS, PREVENTS, 'p'), [Verdict.PASS, []]);
  t.deepEqual(send(PREVENTS, WITHOUT, 'p'), [Verdict.DROP, [3]], 'what one VM lets pass is no reason to spare another');
});
