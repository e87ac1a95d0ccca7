/** What rules have written or matched so far. */
import { PERSISTENT_COLLECTIONS } from '../engine/persistent-store.js';
import type { PersistentName, PersistentRecord } from '../engine/persistent-store.js';
import type { TransactionState } from '../engine/state.js';
import { collection, numeric, scalar, type VariableDefinition } from './variable.js';

export const tx = collection({
  name: 'TX',
  help: 'Variables of the transaction, written by setvar; TX:0 to TX:9 hold captured groups.',
  volatile: true,
  fill(state, list) {
    for (const entry of state.tx.entries()) list.add(entry.name, entry.value);
  },
  lookup: (state, name) => state.tx.get(name),
  matching: (state, pattern) => state.tx.matching(pattern),
});
export const env = collection({
  name: 'ENV',
  help: 'Variables written by setenv; the environment of the appliance is not shown to rules.',
  volatile: true,
  fill(state, list) {
    for (const entry of state.env.entries()) list.add(entry.name, entry.value);
  },
  lookup: (state, name) => state.env.get(name),
});
export const matchedVar = scalar('MATCHED_VAR', 'Value of the last match, transformed.', (s) => (s.matchedName === '' ? null : s.matchedValue), { volatile: true });
export const matchedVarName = scalar('MATCHED_VAR_NAME', 'Name of the variable of the last match.', (s) => (s.matchedName === '' ? null : s.matchedName), { volatile: true });
export const matchedVars = collection({
  name: 'MATCHED_VARS',
  help: 'All values that the current chain matched so far.',
  volatile: true,
  fill(state, list) {
    for (let i = 0; i < state.matchedVars.size; i++) list.add(state.matchedVars.names[i]!, state.matchedVars.values[i]!);
  },
});
export const matchedVarsNames = collection({
  name: 'MATCHED_VARS_NAMES',
  help: 'Names of all variables that the current chain matched so far.',
  volatile: true,
  fill(state, list) {
    for (const name of state.matchedVars.names) list.add(name, name);
  },
});
export const highestSeverity = numeric('HIGHEST_SEVERITY', 'The worst (lowest) severity matched so far, 255 = none.', (s) => s.highestSeverity, { volatile: true });
export const sessionid = scalar('SESSIONID', 'Set by setsid.', (s) => s.sessionId, { volatile: true });
export const userid = scalar('USERID', 'Set by setuid.', (s) => s.userId, { volatile: true });

const RULE_FIELDS: Readonly<Record<string, (state: TransactionState) => string | undefined>> = {
  id: (s) => (s.rule === null ? undefined : String(s.rule.id)),
  rev: (s) => s.rule?.revision,
  severity: (s) => (s.rule === null || s.rule.severity < 0 ? undefined : String(s.rule.severity)),
  msg: (s) => s.rule?.message?.text,
  logdata: (s) => s.rule?.data?.text,
};
export const rule = collection({
  name: 'RULE',
  help: 'The rule being judged: id, rev, severity, msg, logdata.',
  volatile: true,
  fill(state, list) {
    for (const [name, read] of Object.entries(RULE_FIELDS)) {
      const value = read(state);
      if (value !== undefined) list.add(name, value);
    }
  },
  lookup: (state, name) => RULE_FIELDS[name]?.(state),
});

const DERIVED: Readonly<Record<string, (record: PersistentRecord, now: number) => number>> = {
  create_time: (r) => Math.floor(r.created / 1000),
  is_new: (r) => (r.updates === 0 ? 1 : 0),
  last_update_time: (r) => Math.floor(r.lastUpdate / 1000),
  timeout: (r, now) => Math.max(0, Math.round((r.expires - now) / 1000)),
  update_counter: (r) => r.updates,
  update_rate: (r, now) => Math.round((r.updates * 60_000) / Math.max(1000, now - r.created)),
};

function persistent(name: PersistentName): VariableDefinition {
  return collection({
    name: name.toUpperCase(),
    help: `Persistent variables of the record opened for ${name}.`,
    volatile: true,
    fill(state, list) {
      const record = state.records.get(name);
      if (record === undefined) return;
      list.add('KEY', record.key);
      for (const [field, read] of Object.entries(DERIVED)) list.add(field.toUpperCase(), String(read(record, state.clock())));
      for (const entry of record.entries(state.clock())) list.add(entry.name, entry.value);
    },
    lookup(state, field) {
      const record = state.records.get(name);
      if (record === undefined) return undefined;
      if (field === 'key') return record.key;
      const derived = Object.hasOwn(DERIVED, field) ? DERIVED[field] : undefined;
      return derived === undefined ? record.get(field, state.clock()) : String(derived(record, state.clock()));
    },
  });
}

export const persistentVariables: readonly VariableDefinition[] = PERSISTENT_COLLECTIONS.map(persistent);
