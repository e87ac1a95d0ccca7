/** Sets of rules as directives and ctl name them. */
import { NamePattern } from './name-pattern.js';
import type { Rule } from './rule.js';

/** How rules are named: by number and range, by a pattern on their tags, by a pattern on their message. */
export type RuleTest = (argument: string) => (rule: Rule) => boolean;

export const byId: RuleTest = (argument) => {
  const contains = parseIdRanges(argument);
  return (rule) => contains(rule.id);
};
export const byTag: RuleTest = (argument) => {
  const pattern = new NamePattern(argument, false);
  return (rule) => rule.tags.some((tag) => pattern.test(tag.text));
};
export const byMessage: RuleTest = (argument) => {
  const pattern = new NamePattern(argument, false);
  return (rule) => rule.message !== null && pattern.test(rule.message.text);
};

/**
 * `942100`, `1-999999`, several separated by commas or blanks.
 * @throws Error naming the part that is no number or range
 */
export function parseIdRanges(text: string): (id: number) => boolean {
  const ranges = text.split(/[,\s]+/).filter((part) => part !== '').map((part) => {
    const match = /^["']?(\d+)(?:-(\d+))?["']?$/.exec(part);
    if (match === null) throw new Error(`'${part}' is no rule number or range`);
    const low = Number(match[1]);
    const high = match[2] === undefined ? low : Number(match[2]);
    if (high < low) throw new Error(`the range '${part}' is empty`);
    return { low, high };
  });
  if (ranges.length === 0) throw new Error('a rule number or range is expected');
  return (id) => ranges.some((range) => id >= range.low && id <= range.high);
}
