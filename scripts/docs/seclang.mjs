/** The rule language of the web engine: every table of docs/seclang.md is a registry. */
import { built, cell, code, table } from './markdown.mjs';

const registry = {
  directives: async () => {
    const { DIRECTIVES } = await built('web/seclang/directives.js');
    return table(['directive', 'takes', 'what'], [...DIRECTIVES.values()].map((d) => [code(d.name), cell(d.usage), cell(d.help)]));
  },
  'directives-without-effect': async () => {
    const { DIRECTIVES_WITHOUT_EFFECT, DIRECTIVE_NAMES } = await built('web/seclang/directives.js');
    return reasons(DIRECTIVES_WITHOUT_EFFECT, (name) => DIRECTIVE_NAMES.get(name) ?? name);
  },
  'directives-refused': async () => {
    const { REFUSED_DIRECTIVES, DIRECTIVE_NAMES } = await built('web/seclang/directives.js');
    return reasons(REFUSED_DIRECTIVES, (name) => DIRECTIVE_NAMES.get(name) ?? name);
  },
  variables: async () => {
    const { VARIABLES } = await built('web/variables/registry.js');
    return table(['variable', 'names', 'what'], VARIABLES.map((v) => [code(v.name), v.expression !== null ? 'path' : v.collection ? 'yes' : '', cell(v.help)]));
  },
  'variables-refused': async () => {
    const { REFUSED_VARIABLES } = await built('web/variables/registry.js');
    return reasons(Object.entries(REFUSED_VARIABLES));
  },
  operators: async () => {
    const { OPERATORS } = await built('web/operators/registry.js');
    return table(['operator', 'argument', 'what'], OPERATORS.map((o) => [names(o, '@'), o.argument, cell(o.help)]));
  },
  transformations: async () => {
    const { TRANSFORMATIONS } = await built('web/transformations/registry.js');
    return table(['transformation', 'what'], TRANSFORMATIONS.map((x) => [names(x, 't:'), cell(x.help)]));
  },
  actions: async () => {
    const { ACTIONS } = await built('web/actions/registry.js');
    return table(['action', 'kind', 'value', 'what'], ACTIONS.map((a) => [code(a.name), a.kind, a.argument, cell(a.help)]));
  },
  'actions-without-effect': async () => {
    const { IGNORED_ACTIONS, REFUSED_ACTIONS } = await built('web/actions/registry.js');
    return table(['action', '', 'why'], [
      ...Object.entries(IGNORED_ACTIONS).map(([name, why]) => [code(name), 'no effect', cell(why)]),
      ...Object.entries(REFUSED_ACTIONS).map(([name, why]) => [code(name), 'refused', cell(why)]),
    ]);
  },
};

function names({ name, aliases }, prefix) {
  return [name, ...(aliases ?? [])].map((n) => code(prefix + n)).join(', ');
}

/** One row per reason. */
function reasons(entries, nameOf = (name) => name) {
  const byReason = new Map();
  for (const [name, why] of entries) byReason.set(why, [...(byReason.get(why) ?? []), code(nameOf(name))]);
  return table(['', 'why'], [...byReason].map(([why, list]) => [list.join(', '), cell(why)]));
}

/** @param name a table of the rule language */
export async function seclang(name) {
  const make = registry[name];
  if (make === undefined) throw new Error(`no SecLang table "${name}" (known: ${Object.keys(registry).join(', ')})`);
  return make();
}

export const SECLANG_TABLES = Object.keys(registry);
