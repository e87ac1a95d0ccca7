/** The list of actions: `id:1,phase:2,t:none,msg:'it is, or not',pass`. */
import { findAction, IGNORED_ACTIONS, REFUSED_ACTIONS, ACTIONS } from '../actions/registry.js';
import type { RuleDraft } from '../rule-draft.js';
import { ArgumentError } from './targets.js';

interface ActionItem {
  readonly name: string;
  /** Undefined when there was no colon. */
  readonly argument: string | undefined;
  /** Offset of the name in the list. */
  readonly at: number;
  readonly argumentAt: number;
}

/** @throws ArgumentError */
export function splitActions(text: string): ActionItem[] {
  const items: ActionItem[] = [];
  let pos = 0;
  for (;;) {
    while (pos < text.length && /[\s,]/.test(text[pos]!)) pos++;
    if (pos >= text.length) return items;
    const at = pos;
    while (pos < text.length && text[pos] !== ':' && text[pos] !== ',' && !/\s/.test(text[pos]!)) pos++;
    const name = text.slice(at, pos);
    while (pos < text.length && /\s/.test(text[pos]!)) pos++;
    if (text[pos] !== ':') {
      items.push({ name, argument: undefined, at, argumentAt: pos });
      if (pos < text.length && text[pos] !== ',') throw new ArgumentError(`a comma is expected after '${name}'`, pos);
      continue;
    }
    pos++;
    while (pos < text.length && /\s/.test(text[pos]!)) pos++;
    const argumentAt = pos;
    let argument = '';
    if (text[pos] === "'") {
      pos++;
      for (;;) {
        if (pos >= text.length) throw new ArgumentError(`the quote of ${name} is not closed`, argumentAt);
        if (text[pos] === '\\' && text[pos + 1] === "'") {
          argument += "'";
          pos += 2;
        } else if (text[pos] === "'") break;
        else argument += text[pos++]!;
      }
      pos++;
      while (pos < text.length && /\s/.test(text[pos]!)) pos++;
      if (pos < text.length && text[pos] !== ',') throw new ArgumentError(`a comma is expected after the quote of ${name}`, pos);
    } else {
      const comma = text.indexOf(',', pos);
      pos = comma < 0 ? text.length : comma;
      argument = text.slice(argumentAt, pos).trimEnd();
    }
    items.push({ name, argument, at, argumentAt });
  }
}

/**
 * Read all actions into the draft.
 * @param link the rule is a later one of a chain
 * @throws ArgumentError
 */
export function readActions(text: string, draft: RuleDraft, link: boolean): void {
  for (const item of splitActions(text)) {
    const key = item.name.toLowerCase();
    const ignored = IGNORED_ACTIONS[key];
    if (ignored !== undefined) {
      draft.notes.push(`action ${item.name} has no effect: ${ignored}`);
      continue;
    }
    const refused = REFUSED_ACTIONS[key];
    if (refused !== undefined) throw new ArgumentError(`action ${item.name} is not supported: ${refused}`, item.at);
    const action = findAction(item.name);
    if (action === undefined) throw new ArgumentError(`unknown action '${item.name}'; there are ${ACTIONS.map((a) => a.name).join(', ')}`, item.at);
    if (link && action.starterOnly === true) throw new ArgumentError(`${action.name} belongs to the first rule of the chain`, item.at);
    if (action.argument === 'required' && (item.argument ?? '') === '') throw new ArgumentError(`${action.name} needs a value`, item.at);
    if (action.argument === 'none' && (item.argument ?? '') !== '') throw new ArgumentError(`${action.name} takes no value`, item.argumentAt);
    try {
      action.read(draft, item.argument ?? '');
    } catch (error) {
      throw new ArgumentError(`${action.name}: ${error instanceof Error ? error.message : String(error)}`, item.argumentAt);
    }
  }
}
