/** `drawbridge rules check` and `rules explain`: look at rule files without running anything. */
import { REFUSAL_REASONS, explainRule, formatRefusal, type RefusalReason } from '../../ips/index.js';
import { registryOf } from '../build.js';
import { replaySettings } from '../engine-settings.js';
import { compileRules, readRuleFiles } from '../rule-files.js';

/** @returns 0 when every rule loaded, 1 when some were refused */
export async function rulesCheck(files: readonly string[]): Promise<number> {
  const settings = replaySettings();
  const rules = compileRules(readRuleFiles(files), registryOf(settings), settings);
  for (const refusal of rules.refusals) process.stderr.write(`${formatRefusal(refusal)}\n`);
  const byReason = new Map<RefusalReason, number>();
  for (const { reason } of rules.refusals) byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
  process.stdout.write(`loaded    ${rules.rules.length}\nrefused   ${rules.refusals.length}\n`);
  for (const reason of REFUSAL_REASONS) {
    const n = byReason.get(reason);
    if (n !== undefined) process.stdout.write(`  ${reason.padEnd(20)} ${n}\n`);
  }
  return rules.refusals.length === 0 ? 0 : 1;
}

/** @returns 0, or 1 when no such rule loaded */
export async function rulesExplain(sid: number, files: readonly string[]): Promise<number> {
  const settings = replaySettings();
  const rules = compileRules(readRuleFiles(files), registryOf(settings), settings);
  const gid = rules.rules.find(({ info }) => info.sid === sid)?.info.gid ?? 1;
  const explanation = explainRule(rules, gid, sid);
  if (explanation === null) {
    const refused = rules.refusals.find((r) => r.sid === sid);
    process.stderr.write(refused ? `${formatRefusal(refused)}\n` : `drawbridge: no rule with sid ${sid} in ${files.join(', ')}\n`);
    return 1;
  }
  for (const [key, value] of Object.entries(explanation)) process.stdout.write(`${key.padEnd(16)} ${typeof value === 'string' ? value : JSON.stringify(value)}\n`);
  return 0;
}
