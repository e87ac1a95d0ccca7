/** The shipped Core Rule Set as `web.rule_set: crs` loads it, compiled once per process. */
import { parseConfig } from '../../src/appliance/config/load.js';
import { compileWebEngine, webSources } from '../../src/appliance/web-rules.js';
import { setupVariables, type WebEngine, type WebConfig } from '../../src/web/index.js';

const CONFIG = 'ports: [{ name: a, type: tap, device: a }]';

export function webConfig(section = ''): WebConfig {
  const { config, problems } = parseConfig('test.yaml', `${CONFIG}\n${section}`);
  if (config === undefined) throw new Error(problems.map((p) => p.message).join('\n'));
  return config.web;
}

let engine: WebEngine | null = null;

export function crsEngine(): WebEngine {
  engine ??= compileWebEngine(webSources(webConfig(), { before: [], after: [] }), () => 1_700_000_000_000, 'none');
  if (engine.ruleSet.refusals.length > 0) throw new Error(JSON.stringify(engine.ruleSet.refusals[0]));
  return engine;
}

/** Setup variables for a paranoia level. */
export function paranoia(level: number): Map<string, string> {
  return setupVariables({ paranoia: level });
}
