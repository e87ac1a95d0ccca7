/**
 * What an action is. One object per action in a file of its own, one row in registry.ts. Reading an action writes into the
 * draft of its rule; what it does at a match goes into the draft's effects.
 */
import type { RuleDraft } from '../rule-draft.js';

/**
 * `metadata` describes the rule, `disruptive` decides about the transaction, `flow` and `data` steer evaluation, `effect`
 * does something at every match.
 */
export type ActionKind = 'metadata' | 'disruptive' | 'flow' | 'data' | 'effect';

export interface Action<Name extends string = string> {
  /** As users write it. Compared without case. */
  readonly name: Name;
  readonly kind: ActionKind;
  readonly argument: 'none' | 'optional' | 'required';
  /** Only the first rule of a chain may have it. */
  readonly starterOnly?: boolean;
  /** One sentence for the action reference. */
  readonly help: string;
  /** @throws Error that names the offending part and what is accepted */
  read(draft: RuleDraft, argument: string): void;
}

/** Keeps the literal name. */
export function action<const Name extends string>(definition: Action<Name>): Action<Name> {
  return definition;
}

/** An argument that has to be a whole number within bounds. */
export function integerArgument(text: string, low: number, high: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < low || value > high) throw new Error(`'${text}' is not a number from ${low} to ${high}`);
  return value;
}

/** `name=value`, split at the first equals sign; the value undefined when there is none. */
export function splitAssignment(text: string): { readonly name: string; readonly value: string | undefined } {
  const equals = text.indexOf('=');
  if (equals < 0) return { name: text.trim(), value: undefined };
  return { name: text.slice(0, equals).trim(), value: text.slice(equals + 1).trim() };
}
