/**
 * From the `web` section to a rule engine and the policies over it. Order of what is loaded: the settings of the section, the
 * setup of the rule set, `rules_before`, the rule set, `rules`; later lines win, as anywhere in SecLang.
 */
import { createHash } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebEngine, WebMode, WebPolicies, engineDirectives, setupVariables, type EngineSetting, type PrefilterCache, type RuleSet, type RuleSource, type WebConfig, type WebOverride, type WebOverrideConfig } from '../web/index.js';
import type { Config, LoadedConfig } from './config/load.js';
import type { LocatedYaml } from './config/located-yaml.js';
import type { ConfigProblem } from './config/problem.js';
import { FilePatternCache, userPatternCache } from './pattern-cache.js';
import type { SessionWeb } from './session.js';
import { webRuleFiles } from './web-rule-files.js';

export const WEB_MODES: Readonly<Record<EngineSetting, WebMode>> = { on: WebMode.ON, detect: WebMode.DETECT, off: WebMode.OFF };

/** Files of the shipped rule set, beside the code in a checkout, a package and the image alike. */
const SHIPPED = join(dirname(fileURLToPath(import.meta.url)), '../../..', 'rules');
const CRS = join(SHIPPED, 'crs');
/** What every rule set counts on: which bodies are read how, and what is refused because it cannot be read. */
const BASE_RULES = join(SHIPPED, 'web/base.conf');
/** Attacks that exclusions are rehearsed with. */
export const ATTACKS_FILE = join(SHIPPED, 'web/attacks.json');

type WebFiles = LoadedConfig['webFiles'];

export interface CompiledWeb {
  readonly engine: WebEngine;
  readonly session: SessionWeb;
  /** What the overrides name that is not there. */
  readonly problems: readonly ConfigProblem[];
}

/** Does any VM, or what leaves the appliance, want web protection? */
export function webIsOn({ web, vms }: Config): boolean {
  return [web.engine, ...Object.values(vms).map((vm) => vm.web ?? 'off'), ...web.overrides.map((o) => o.engine ?? 'off')].some((engine) => engine !== 'off');
}

/** Engine mode of what is served behind a port. */
export function webModeOf({ web, vms }: Config, vm: string | undefined): WebMode {
  if (vm === undefined) return web.outgoing ? WEB_MODES[web.engine] : WebMode.OFF;
  return WEB_MODES[vms[vm]?.web ?? web.engine];
}

/** @param extra loaded last before the rule set */
export function webSources(web: WebConfig, files: WebFiles, extra: readonly RuleSource[] = []): RuleSource[] {
  const crs = web.rule_set === 'crs';
  return [
    { name: 'the web section', text: engineDirectives(web) },
    ...(crs ? [{ file: BASE_RULES }, { file: join(CRS, 'crs-setup.conf') }] : []),
    ...files.before.map((file) => ({ file })),
    ...extra,
    ...(crs ? webRuleFiles.find(join(CRS, 'rules/*.conf'), '').map((file) => ({ file })) : []),
    ...files.after.map((file) => ({ file })),
  ];
}

/**
 * Multi-pattern search of an engine: compiled databases come from a cache where there is one, since compiling takes many seconds;
 * `none` judges the same, slower: for engines that see few requests.
 */
export type Prefiltering = { readonly cache: PrefilterCache } | 'none';

export function compileWebEngine(sources: readonly RuleSource[], clock: () => number, prefiltering: Prefiltering): WebEngine {
  return WebEngine.compile(sources, { files: webRuleFiles, clock, ...(prefiltering === 'none' ? { prefilter: null } : { prefilterCache: prefiltering.cache }) });
}

/** Changes with everything that an engine is made of but the data files that rules name. */
export function webFingerprint({ web }: Config, { ruleSet }: WebEngine): string {
  const hash = createHash('sha256').update(JSON.stringify(web));
  for (const file of ruleSet.files) hash.update(`\n${file}\n`).update(webRuleFiles.read(file));
  return hash.digest('hex');
}

/** A database is not in the cache, and was not to be compiled. */
class NotCached extends Error {}

/** As compileWeb, but with multi-pattern search only when nothing has to be compiled for it. @returns null when something would have to */
export function compileWebFromCache(config: Config, webFiles: WebFiles, yaml: LocatedYaml, cache: PrefilterCache): CompiledWeb | null {
  const load = (key: string): Uint8Array => {
    const database = cache.load(key);
    if (database === null) throw new NotCached(key);
    return database;
  };
  try {
    return compileWeb(config, webFiles, yaml, { cache: { load, store: () => undefined } });
  } catch (error) {
    if (error instanceof NotCached) return null;
    throw error;
  }
}

/** Where the databases of web rules are kept: `ips.cache`, else the cache of the user; undefined when there is none. */
export function webCache({ ips }: Config, file: string, log: (text: string) => void): FilePatternCache | undefined {
  return ips.cache === '' ? userPatternCache() : new FilePatternCache(resolve(dirname(resolve(file)), ips.cache), log);
}

/** Lines that could not be used, for people. */
export function webRefusals({ refusals }: RuleSet): string[] {
  return refusals.map(({ position, ruleId, directive, reason }) => `${position.file}:${position.line}:${position.column}: ${directive}${ruleId > 0 ? ` ${ruleId}` : ''} refused: ${reason}`);
}

export function compileWeb(config: Config, webFiles: WebFiles, yaml: LocatedYaml, prefiltering: Prefiltering): CompiledWeb {
  const { web } = config;
  const clock = { ms: 0 };
  const engine = compileWebEngine(webSources(web, webFiles), () => clock.ms, prefiltering);
  const problems: ConfigProblem[] = [];
  const policies = policiesOf(web, engine, (path, message) => problems.push(yaml.problem(['web', ...path], message)));
  return {
    engine,
    problems,
    session: {
      engine,
      clock,
      policies,
      unparsable: web.unparsable,
      memcap: web.memcap,
      flowMemcap: web.flow_memcap,
      memcapPolicy: web.memcap_policy,
      maxPipelined: web.max_pipelined,
      hold: web.hold === 'request' ? { requestBytes: web.hold_bytes, memcap: web.memcap, timeoutMs: web.hold_timeout_ms } : null,
    },
  };
}

/** @param refuse told what overrides name that is not there, and where in the section */
export function policiesOf(web: WebConfig, engine: WebEngine, refuse: (path: (string | number)[], message: string) => void): WebPolicies {
  return new WebPolicies(
    { name: '', vms: null, hosts: null, block: web.block, variables: setupVariables(web), exclusions: [] },
    web.overrides.map((o, i) => overrideOf(o, i, web, engine, (path, message) => refuse(['overrides', i, ...path], message))),
  );
}

function overrideOf(o: WebOverrideConfig, index: number, base: WebConfig, engine: WebEngine, refuse: (path: (string | number)[], message: string) => void): WebOverride {
  const exclusions = (o.exclude ?? []).flatMap((spec, k) => {
    try {
      const { expires } = spec;
      return [engine.exclusion({
        rules: String(spec.rules),
        ...(spec.path === undefined ? {} : { path: spec.path }),
        ...(spec.target === undefined ? {} : { target: spec.target }),
        ...(expires === undefined ? {} : { expires: Date.parse(`${expires}T00:00:00Z`) }),
      })];
    } catch (error) {
      refuse(['exclude', k], (error as Error).message);
      return [];
    }
  });
  return {
    name: o.name ?? String(index),
    vms: o.vms ?? null,
    hosts: o.hosts?.map((host) => host.toLowerCase()) ?? null,
    ...(o.engine === undefined ? {} : { mode: WEB_MODES[o.engine] }),
    ...(o.block === undefined ? {} : { block: o.block }),
    variables: setupVariables(o, base),
    exclusions,
  };
}
