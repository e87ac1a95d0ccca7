/** `drawbridge web check`: rule files of the web engine, without an appliance. */
import { resolve } from 'node:path';
import { loadRules, type RuleSet } from '../../web/index.js';
import { webRuleFiles } from '../web-rule-files.js';
import { webRefusals } from '../web-rules.js';

/** @returns 0 = every line is in force, 1 = some were refused */
export async function webCheck(files: readonly string[]): Promise<number> {
  const set = loadRules(files.map((file) => ({ file: resolve(file) })), { files: webRuleFiles });
  for (const refusal of webRefusals(set)) process.stderr.write(`${refusal}\n`);
  for (const { position, ruleId, text } of set.notes) process.stderr.write(`${position.file}:${position.line}:${position.column}: ${ruleId > 0 ? `rule ${ruleId}: ` : ''}note: ${text}\n`);
  process.stdout.write(`${summary(set)}\n`);
  return set.refusals.length > 0 ? 1 : 0;
}

function summary(set: RuleSet): string {
  const phases = set.phases.map((rules, phase) => (phase === 0 ? '' : `phase ${phase} ${rules.length}`)).filter((text) => text !== '');
  return `${set.rules.length} rules from ${set.files.length} files (${phases.join(', ')}), ${set.refusals.length} refused, ${set.notes.length} notes`;
}
