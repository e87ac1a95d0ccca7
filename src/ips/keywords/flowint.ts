import { keyword } from '../keyword.js';
import type { InspectContext } from '../match/context.js';
import { PacketMatch, PostMatch } from '../match/match.js';
import { integerOf } from '../option.js';
import { RANK_READS, RANK_SETS } from './flowbits.js';

const MAX_INT = 0xffff_ffff;

class FlowIntMatch extends PacketMatch {
  constructor(
    readonly id: number,
    readonly operator: string,
    readonly value: number,
    /** Other flow integer to compare with, -1 = the number. */
    readonly other: number,
  ) {
    super();
  }

  matches({ state }: InspectContext): boolean {
    if (state === null) return false;
    const have = state.intOf(this.id);
    if (this.operator === 'isset') return !Number.isNaN(have);
    if (this.operator === 'notset') return Number.isNaN(have);
    const want = this.other >= 0 ? state.intOf(this.other) : this.value;
    // A comparison with a variable that was never set is false, whichever it is.
    if (Number.isNaN(have) || Number.isNaN(want)) return false;
    switch (this.operator) {
      case '<':
        return have < want;
      case '<=':
        return have <= want;
      case '>':
        return have > want;
      case '>=':
        return have >= want;
      case '!=':
        return have !== want;
      default:
        return have === want;
    }
  }
}

class FlowIntAction extends PostMatch {
  constructor(
    readonly id: number,
    readonly operator: string,
    readonly value: number,
    readonly other: number,
  ) {
    super();
  }

  apply({ state }: InspectContext): void {
    if (state === null) return;
    const operand = this.other >= 0 ? state.intOf(this.other) : this.value;
    if (Number.isNaN(operand)) return;
    const have = state.intOf(this.id);
    const before = Number.isNaN(have) ? 0 : have;
    if (this.operator === '=') state.setInt(this.id, operand);
    else if (this.operator === '+') state.setInt(this.id, (before + operand) >>> 0);
    else state.setInt(this.id, (before - operand) >>> 0);
  }
}

const OPERATORS = ['=', '+', '-', '==', '!=', '<', '<=', '>', '>=', 'isset', 'notset', 'isnotset'];

export const flowint = keyword({
  name: 'flowint',
  kind: 'flow',
  help: 'Numbers of the flow that rules set, add to and compare.',
  usage: ['flowint:name,=|+|-,number', 'flowint:name,==|!=|<|<=|>|>=,number', 'flowint:name,isset', 'flowint:name,notset'],
  value: 'required',
  parse(draft, option) {
    const [name, operator, operand, ...more] = option.split();
    if (name === undefined || operator === undefined) option.fail(option.whole(), 'fewer than two values', ['name,operator,number']);
    if (!/^[\w.-]+$/.test(name.text)) option.fail(name, 'not a name of a variable', ['letters, digits, . _ -']);
    const text = operator.text.toLowerCase();
    if (!OPERATORS.includes(text)) option.fail(operator, 'unknown operator', OPERATORS);
    if (more.length > 0) option.fail(more[0]!, 'unexpected text', ['name,operator,number']);
    const id = draft.context.names.flowints.id(name.text);
    if (text === 'isset' || text === 'notset' || text === 'isnotset') {
      if (operand !== undefined) option.fail(operand, `${text} takes no number`, [`name,${text}`]);
      draft.packetMatches.push(new FlowIntMatch(id, text === 'isset' ? 'isset' : 'notset', 0, -1));
      draft.stateRank |= RANK_READS;
      return;
    }
    if (operand === undefined) option.fail(option.whole(), 'a number is missing', [`name,${text},number`]);
    const number = integerOf(operand.text);
    const value = number === null ? 0 : option.integer(operand, 0, MAX_INT);
    if (number === null && !/^[\w.-]+$/.test(operand.text)) option.fail(operand, 'neither a number nor a variable', [`0..${MAX_INT}`]);
    const other = number === null ? draft.context.names.flowints.id(operand.text) : -1;
    if (text === '=' || text === '+' || text === '-') {
      draft.postMatches.push(new FlowIntAction(id, text, value, other));
      draft.stateRank |= RANK_SETS;
    } else {
      draft.packetMatches.push(new FlowIntMatch(id, text, value, other));
      draft.stateRank |= RANK_READS;
    }
  },
});
