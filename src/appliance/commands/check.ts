/** `drawbridge check`: everything `run` would refuse, and what it would do but probably should not, without starting anything. */
import { analyse } from '../../firewall/index.js';
import { formatRefusal } from '../../ips/index.js';
import { compileFirewall, registryOf } from '../build.js';
import { loadConfig } from '../config/load.js';
import { formatProblem } from '../config/problem.js';
import { settingsOf } from '../engine-settings.js';
import { compileRules, readRuleFiles } from '../rule-files.js';
import { compileWeb, webIsOn, webRefusals } from '../web-rules.js';

/** @returns 0 = fine (warnings allowed), 1 = would not start, or rules were refused */
export async function check(file: string): Promise<number> {
  const loaded = loadConfig(file);
  const problems = [...loaded.problems];
  let refused = 0;
  let summary = '';
  if (loaded.config !== undefined) {
    const config = loaded.config;
    const firewall = compileFirewall(config, loaded.yaml);
    problems.push(...firewall.problems);
    if (firewall.policy !== null) problems.push(...analyse(firewall.policy).map((f) => loaded.yaml.problem(f.path, f.message, 'warning')));
    const settings = settingsOf(config);
    const rules = compileRules(readRuleFiles(loaded.ruleFiles), registryOf(settings), settings);
    refused = rules.refusals.length;
    for (const refusal of rules.refusals) process.stderr.write(`${formatRefusal(refusal)}\n`);
    summary = `${config.ports.length} ports, ${Object.keys(config.vms).length} VMs, ${rules.rules.length} IPS rules from ${loaded.ruleFiles.length} files`;
    if (webIsOn(config)) {
      const web = compileWeb(config, loaded.webFiles, loaded.yaml, 'none');
      problems.push(...web.problems);
      const refusals = webRefusals(web.engine.ruleSet);
      refused += refusals.length;
      for (const refusal of refusals) process.stderr.write(`${refusal}\n`);
      summary += `, ${web.engine.ruleSet.rules.length} web rules`;
    }
  }
  for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
  const errors = problems.filter((p) => p.severity === 'error').length;
  const warnings = problems.length - errors;
  const verdict = errors + refused > 0 ? 'not fit to run' : 'fine';
  process.stdout.write(`${file}: ${verdict} (${errors} errors, ${warnings} warnings, ${refused} rules refused${summary ? `; ${summary}` : ''})\n`);
  return errors + refused > 0 ? 1 : 0;
}

