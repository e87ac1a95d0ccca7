/** The keyword modbus: function, access and unit of a request. */
import { ModbusAccess, ModbusCategory, ModbusTransaction, type Transaction } from '../../protocols/index.js';
import { DIR_TO_SERVER } from '../draft.js';
import { keyword } from '../keyword.js';
import { TxMatch, TxOutcome } from '../match/match.js';
import { splitWord, type Arg, type OptionText } from '../option.js';

const MAX = 65_535;

/** `n`, `<n`, `>n` or `low<>high`; both ends exclusive. */
class Range {
  constructor(
    readonly low: number,
    readonly high: number,
  ) {}

  static of(option: OptionText, arg: Arg): Range {
    const between = /^(\d+)\s*<>\s*(\d+)$/.exec(arg.text);
    if (between !== null) return new Range(option.integer({ text: between[1]!, at: arg.at }, 0, MAX), option.integer({ text: between[2]!, at: arg.at + arg.text.length - between[2]!.length }, 0, MAX));
    const sign = /^[<>]/.exec(arg.text)?.[0] ?? '';
    const n = option.integer({ text: arg.text.slice(sign.length), at: arg.at + sign.length }, 0, MAX);
    if (sign === '') return new Range(n - 1, n + 1);
    return sign === '<' ? new Range(-1, n) : new Range(n, MAX + 1);
  }

  /** Does some number of from..to lie inside? */
  meets(from: number, to: number): boolean {
    return this.low < to && from < this.high;
  }

  get single(): boolean {
    return this.high - this.low === 2;
  }
}

const CATEGORIES: Readonly<Record<string, number>> = {
  assigned: ModbusCategory.ASSIGNED,
  unassigned: ModbusCategory.UNASSIGNED,
  public: ModbusCategory.ASSIGNED | ModbusCategory.UNASSIGNED,
  user: ModbusCategory.USER,
  reserved: ModbusCategory.RESERVED,
  all: 15,
};
const KINDS: Readonly<Record<string, number>> = { discretes: ModbusAccess.DISCRETES, coils: ModbusAccess.COILS, input: ModbusAccess.INPUT, holding: ModbusAccess.HOLDING };

class ModbusMatch extends TxMatch {
  override readonly directions = DIR_TO_SERVER;
  unit: Range | null = null;
  category = 0;
  code = -1;
  subfunction = -1;
  access = 0;
  kind = 0;
  address: Range | null = null;
  value: Range | null = null;

  override evaluate(tx: Transaction): number {
    return tx instanceof ModbusTransaction && tx.code > 0 && this.#matches(tx) ? TxOutcome.YES : TxOutcome.NO;
  }

  #matches(tx: ModbusTransaction): boolean {
    if (this.unit !== null && !this.unit.meets(tx.unit, tx.unit)) return false;
    if (this.access !== 0) {
      if ((tx.access & this.access) === 0 || (this.kind !== 0 && (tx.access & this.kind) === 0)) return false;
      if (this.address === null) return true;
      if (tx.addressFrom === 0 || !this.address.meets(tx.addressFrom, tx.addressTo)) return false;
      if (this.value === null) return true;
      const value = tx.values[this.address.low + 1 - tx.addressFrom];
      return value !== undefined && this.value.meets(value, value);
    }
    if (this.category !== 0) return (tx.category & this.category) !== 0;
    if (this.code < 0) return true;
    return tx.code === this.code && (this.subfunction < 0 || tx.subfunction === this.subfunction);
  }
}

export const modbus = keyword({
  name: 'modbus',
  kind: 'transaction',
  help: 'Function, access or unit of a Modbus request; addresses count from 1.',
  usage: [
    'modbus:function n[, subfunction n]',
    'modbus:function [!]assigned|unassigned|public|user|reserved|all',
    'modbus:access read|write [discretes|coils|input|holding][, address n|<n|>n|low<>high[, value n|<n|>n|low<>high]]',
    'modbus:unit n|<n|>n|low<>high[, function ...|access ...]',
  ],
  value: 'required',
  parse(draft, option) {
    const match = new ModbusMatch();
    const unquoted = option.unquoted();
    const args = option.split().map((arg) => ({ text: arg.text.replace(/^"\s*|\s*"$/g, ''), at: arg.at }));
    if (unquoted.text.trim() === '') option.fail(option.whole(), 'nothing to look for', ['function', 'access', 'unit']);
    let last = '';
    for (const arg of args) {
      const { word, rest } = splitWord(arg);
      readPart(option, match, word, rest, arg, last);
      last = word;
    }
    draft.impliedApp = 'modbus';
    draft.txMatches.push(match);
    draft.perPacket = true;
  },
});

function readPart(option: OptionText, match: ModbusMatch, word: string, rest: Arg, arg: Arg, last: string): void {
  switch (word) {
    case 'unit':
      if (last !== '') option.fail(arg, 'unit comes first', ['unit n, function ...']);
      match.unit = Range.of(option, rest);
      return;
    case 'function': {
      if (last !== '' && last !== 'unit') break;
      const negated = rest.text.startsWith('!');
      const name = rest.text.slice(negated ? 1 : 0);
      if (Object.hasOwn(CATEGORIES, name)) match.category = negated ? 15 & ~CATEGORIES[name]! : CATEGORIES[name]!;
      else match.code = option.integer(rest, 1, 255);
      return;
    }
    case 'subfunction':
      if (last !== 'function') break;
      match.subfunction = option.integer(rest, 0, MAX);
      return;
    case 'access': {
      if (last !== '' && last !== 'unit') break;
      const [how, what] = rest.text.split(/\s+/);
      if (how !== 'read' && how !== 'write') option.fail(rest, 'neither read nor write', ['read', 'write']);
      match.access = how === 'read' ? ModbusAccess.READ : ModbusAccess.WRITE;
      if (what === undefined) return;
      if (!Object.hasOwn(KINDS, what) || (how === 'write' && (what === 'discretes' || what === 'input'))) option.fail(rest, 'not what can be accessed so', how === 'write' ? ['coils', 'holding'] : Object.keys(KINDS));
      match.kind = KINDS[what]!;
      return;
    }
    case 'address':
      if (last !== 'access') break;
      match.address = Range.of(option, rest);
      return;
    case 'value':
      if (last !== 'address' || match.access !== ModbusAccess.WRITE || match.address?.single !== true) break;
      match.value = Range.of(option, rest);
      return;
    default:
  }
  option.fail(arg, 'not expected here', ['unit', 'function', 'subfunction', 'access', 'address', 'value']);
}
