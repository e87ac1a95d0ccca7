import test from 'ava';
import fc from 'fast-check';
import {
  formatError, parseRules, printRule, printRules, type AddressExpr, type PortExpr, type Rule,
} from '../src/index.js';
import { ruleText } from './arbitraries.js';

function parse(text: string): Rule {
  const { rules, errors } = parseRules(text, { includeDisabled: true });
  if (rules.length !== 1) throw new Error(`${text}\n${errors.map(formatError).join('\n')}`);
  return rules[0]!;
}

/** The tree without positions, which printing changes. */
function shape(expr: AddressExpr | PortExpr): unknown {
  if (expr.kind === 'list') return { negated: expr.negated, items: expr.items.map(shape) };
  const { at: _at, length: _length, ...rest } = expr;
  return rest;
}

function meaning(rule: Rule): unknown {
  return {
    enabled: rule.enabled, dialect: rule.dialect, action: rule.action, protocol: rule.protocol, direction: rule.direction,
    ends: [rule.sourceAddress, rule.sourcePort, rule.destinationAddress, rule.destinationPort].map(shape),
    options: rule.options.map(({ name, value }) => [name, value]),
    identity: [rule.sid, rule.gid, rule.rev, rule.msg, rule.classtype, rule.priority, rule.target],
  };
}

test('what is printed parses to an equal tree, and prints the same again', (t) => {
  fc.assert(fc.property(ruleText, (text) => {
    const rule = parse(text);
    const printed = printRule(rule);
    const again = parse(printed);
    t.deepEqual(meaning(again), meaning(rule));
    t.is(printRule(again), printed);
  }), { numRuns: 400 });
});

test('option values and positions are those of the source', (t) => {
  fc.assert(fc.property(ruleText, (text) => {
    const rule = parse(text);
    for (const { name, value, offset, length } of rule.options) {
      const source = text.slice(offset, offset + length);
      t.true(source.startsWith(name) && source.endsWith(';'));
      if (value !== null) t.true(source.includes(value));
    }
  }), { numRuns: 200 });
});

test('breaking a rule with continuations changes positions only', (t) => {
  fc.assert(fc.property(ruleText, fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 }), fc.constantFrom('\n', '\r\n', ' \n'), (text, cuts, end) => {
    const body = text.replace(/^#\s*/, '');
    const at = [...new Set(cuts.map((cut) => Math.floor(cut * body.length)))].sort((a, b) => a - b);
    let broken = '';
    let from = 0;
    for (const cut of at) {
      broken += `${body.slice(from, cut)}\\${end}`;
      from = cut;
    }
    broken += body.slice(from);
    const rule = parse(broken);
    t.deepEqual(meaning(rule), meaning(parse(body)));
    const lines = broken.split('\n');
    for (const option of rule.options) {
      t.is(broken[option.offset], option.name[0]);
      t.is(lines[option.line - 1]![option.column - 1], option.name[0]);
    }
  }), { numRuns: 200 });
});

test('canonical text is a fixed point', (t) => {
  const text = 'alert tcp $HOME_NET !80 -> [10.0.0.0/8,!10.1.1.1] [1:2,1024:] (msg:"x"; content:!"|00 01|a"; nocase; sid:1; rev:2;)';
  t.is(printRule(parse(text)), text);
  t.is(printRules([parse(text), parse(`# ${text}`), parse('alert http (sid:3;)')]), `${text}\n# ${text}\nalert http (sid:3;)\n`);
});
