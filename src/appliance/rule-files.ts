/** Reads rule files and compiles them, and says in one place how many loaded and what was refused. */
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DEFAULT_VARS, RuleSet, datasetLine, finish, formatRefusal, type PatternCache, type RuleSource, type RuleVars, type Steps } from '../ips/index.js';
import type { ProtocolRegistry } from '../protocols/index.js';
import type { EngineSettings } from './engine-settings.js';

/** @throws the system error, with the file's name, when a file cannot be read */
export function readRuleFiles(files: readonly string[]): RuleSource[] {
  return files.map((file) => ({ file, text: readFileSync(file) }));
}

/** What rules are compiled with beside their text. */
export interface RuleContext {
  readonly cache?: PatternCache | undefined;
  /** Default 1. */
  readonly generation?: number;
  /** The rules in force: their state is carried over. */
  readonly previous?: RuleSet | undefined;
}

/** As compileRules, in steps of about a millisecond. */
export function compileRulesInSteps(sources: readonly RuleSource[], registry: ProtocolRegistry, settings: EngineSettings, { cache, generation, previous }: RuleContext): Steps<RuleSet> {
  return RuleSet.compileSteps(sources, registry.protocols, {
    vars: ruleVars(settings.variables),
    generation: generation ?? 1,
    readFile: readBeside,
    inlineStreams: settings.enforce || settings.streamInline,
    ...(cache ? { cache } : {}),
    ...(previous ? { previous, names: previous.names, datasets: previous.datasets.next() } : {}),
    ...classificationBeside(sources),
  });
}

export function compileRules(sources: readonly RuleSource[], registry: ProtocolRegistry, settings: EngineSettings, cache?: PatternCache): RuleSet {
  return finish(compileRulesInSteps(sources, registry, settings, { cache }));
}

/** Longest list of hashes or dataset a rule may name. */
const LIST_MAX = 256 * 1024 * 1024;

/** A file that a rule names, relative to the file of the rule. */
function readBeside(name: string, ruleFile: string): Uint8Array | null {
  const path = resolve(dirname(ruleFile), name);
  try {
    return statSync(path).size <= LIST_MAX ? readFileSync(path) : null;
  } catch {
    return null; // the rule is refused with the name of the file
  }
}

/** Suricata's stock groups with those of the configuration over them; a name is an address group unless it ends in PORT(S). */
export function ruleVars(variables: Readonly<Record<string, string>>): RuleVars {
  const addresses: Record<string, string> = { ...DEFAULT_VARS.addresses };
  const ports: Record<string, string> = { ...DEFAULT_VARS.ports };
  for (const [name, value] of Object.entries(variables)) (/PORTS?$/.test(name) ? ports : addresses)[name] = value;
  return { addresses, ports };
}

/** Print refusals to stderr, `most` of them in full. */
export function reportRefusals(rules: RuleSet, most: number): void {
  for (const refusal of rules.refusals.slice(0, most)) process.stderr.write(`${formatRefusal(refusal)}\n`);
  if (rules.refusals.length > most) process.stderr.write(`... and ${rules.refusals.length - most} more refused rules (see: drawbridge rules check)\n`);
}

/** A classification.config beside the first rule file belongs to it. */
function classificationBeside(sources: readonly RuleSource[]): { classes?: Readonly<Record<string, { text: string; priority: number }>> } {
  const first = sources[0];
  if (first === undefined) return {};
  const path = join(dirname(first.file), 'classification.config');
  if (!existsSync(path)) return {};
  const classes: Record<string, { text: string; priority: number }> = {};
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const m = /^\s*config\s+classification:\s*([^,]+?)\s*,\s*([^,]+?)\s*,\s*(\d+)\s*$/.exec(line);
    if (m) classes[m[1]!.toLowerCase()] = { text: m[2]!, priority: Number(m[3]) };
  }
  return { classes };
}

/** Write the sets that rules want kept (dataset: save, state). @param log told of each that cannot be written */
export function saveDatasets(rules: RuleSet, log: (text: string) => void): void {
  for (const { set, file, ruleFile } of rules.datasets.kept) {
    const path = resolve(dirname(ruleFile), file);
    const part = `${path}.${process.pid}.part`;
    try {
      const lines = Array.from(set.values(), ({ bytes, reputation }) => `${datasetLine(set.type, bytes, reputation)}\n`);
      writeFileSync(part, lines.join(''), { mode: 0o640 });
      renameSync(part, path);
    } catch (error) {
      log(`dataset ${set.name}: ${String(error)}`);
      rmSync(part, { force: true });
    }
  }
}
