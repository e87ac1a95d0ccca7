/** From a configuration to the policy snapshot that a session judges by; in steps, so that a worker can make the next one between batches. */
import { selectRulesSteps, type RuleBitmaps, type RulePolicy, type RuleSet, type Steps } from '../ips/index.js';
import { vmIndex } from './build.js';
import type { Config } from './config/load.js';
import type { PortPolicy, SessionPort } from './session.js';
import { webModeOf } from './web-rules.js';

/** What the VM of a port wants of the engines. */
export function portPolicy(config: Config, vm: string | undefined): PortPolicy & Pick<SessionPort, 'vm' | 'web'> {
  const settings = vm === undefined ? undefined : config.vms[vm];
  return {
    vm: vmIndex(config, vm),
    ips: settings?.ips ?? 'prevent',
    web: webModeOf(config, vm),
    rulePolicy: settings?.ips_policy,
    failOpenEngine: settings?.failure.engine === 'open',
    failOpenSanity: settings?.failure.sanity === 'open',
  };
}

/** Firewall policy name by VM index. */
export function firewallPolicies(config: Config): (string | null)[] {
  return Object.values(config.vms).map((vm) => vm.firewall ?? null);
}

/** The rule policies that some VM uses, applied to the rules. */
export function* rulePolicySteps(config: Config, rules: RuleSet | null): Steps<Map<string, RuleBitmaps>> {
  const used = new Set(Object.values(config.vms).flatMap((vm) => (vm.ips_policy === undefined ? [] : [vm.ips_policy])));
  const out = new Map<string, RuleBitmaps>();
  for (const name of used) {
    const policy: RulePolicy = config.ips.policies[name]!;
    out.set(name, rules === null ? { enabled: new Uint32Array(0), detectOnly: new Uint32Array(0), count: 0 } : yield* selectRulesSteps(rules, policy));
  }
  return out;
}
