import { keyword } from '../keyword.js';
import type { InspectContext } from '../match/context.js';
import { PacketMatch, PostMatch } from '../match/match.js';

/** Any of the bits is set; negated: none is. */
class FlowBitsMatch extends PacketMatch {
  constructor(
    readonly ids: readonly number[],
    readonly wanted: boolean,
  ) {
    super();
  }

  matches({ state }: InspectContext): boolean {
    if (state === null) return false;
    for (let i = 0; i < this.ids.length; i++) if (state.hasBit(this.ids[i]!) === this.wanted) return true;
    return false;
  }
}

class FlowBitAction extends PostMatch {
  constructor(
    readonly id: number,
    readonly action: 'set' | 'unset' | 'toggle',
  ) {
    super();
  }

  apply({ state }: InspectContext): void {
    if (state === null) return;
    const on = this.action === 'set' || (this.action === 'toggle' && !state.hasBit(this.id));
    if (on) state.setBit(this.id);
    else state.clearBit(this.id);
  }
}

const ACTIONS = ['set', 'unset', 'toggle', 'isset', 'isnotset', 'noalert'];
/** Rules that set bits come before rules that only read them, so that one packet may satisfy both. */
export const RANK_SETS = 1;
export const RANK_READS = 2;

export const flowbits = keyword({
  name: 'flowbits',
  kind: 'flow',
  help: 'Bits of the flow that one rule sets and another tests; a|b means any of them.',
  usage: ['flowbits:set,name', 'flowbits:unset,name', 'flowbits:toggle,name', 'flowbits:isset,name[|name]', 'flowbits:isnotset,name[|name]', 'flowbits:noalert'],
  value: 'required',
  parse(draft, option) {
    const [action, names, ...more] = option.split();
    if (action === undefined) option.fail(option.whole(), 'an action is missing', ACTIONS);
    if (action.text === 'noalert') {
      if (names !== undefined) option.fail(names, 'noalert takes no name', ['flowbits:noalert']);
      draft.noalert = true;
      return;
    }
    if (!ACTIONS.includes(action.text)) option.fail(action, 'unknown action', ACTIONS);
    if (names === undefined || names.text === '') option.fail(option.whole(), 'the name of a bit is missing', [`${action.text},name`]);
    if (more.length > 0) option.fail(more[0]!, 'unexpected text', ['action,name']);
    const list = names.text.split('|').map((name) => name.trim());
    for (const name of list) {
      if (name === '' || /\s/.test(name)) option.fail(names, 'not a name of a bit', ['letters, digits, . _ -']);
    }
    const ids = list.map((name) => draft.context.names.flowbits.id(name));
    // Setting a bit is the one flowbits action that a rule judged once per flow may have.
    if (action.text !== 'set') draft.perPacket = true;
    switch (action.text) {
      case 'isset':
      case 'isnotset':
        draft.packetMatches.push(new FlowBitsMatch(ids, action.text === 'isset'));
        draft.stateRank |= RANK_READS;
        return;
      case 'set':
      case 'unset':
      case 'toggle':
        if (ids.length > 1) option.fail(names, 'an action takes one bit', [`${action.text},name`]);
        draft.postMatches.push(new FlowBitAction(ids[0]!, action.text));
        draft.stateRank |= RANK_SETS;
    }
  },
});
