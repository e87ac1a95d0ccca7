import { keyword } from '../keyword.js';
import { ByteOp, ByteTestStep } from '../match/step.js';
import { splitWord, type Arg, type OptionText } from '../option.js';
import { FORMAT_WORDS, FormatReader, maskOf, valueOrVariable } from './byte-args.js';

const OPERATORS: Readonly<Record<string, number>> = {
  '<': ByteOp.LT,
  '>': ByteOp.GT,
  '=': ByteOp.EQ,
  '<=': ByteOp.LE,
  '>=': ByteOp.GE,
  '&': ByteOp.AND,
  '^': ByteOp.XOR,
};

/** Unsigned 64-bit number, decimal or hexadecimal, as two halves; null when it is none. */
function wide(text: string): { hi: number; lo: number } | null {
  if (!/^[+-]?(?:\d{1,20}|0x[0-9a-f]{1,16})$/i.test(text)) return null;
  const negative = text.startsWith('-');
  const value = BigInt.asUintN(64, BigInt(text.replace(/^[+-]/, '')) * (negative ? -1n : 1n));
  return { hi: Number(value >> 32n), lo: Number(value & 0xffff_ffffn) };
}

/** byte_test takes offsets no buffer has; they never match. */
const MAX_TEST_OFFSET = 0x7fff_ffff;

export const byteTest = keyword({
  name: 'byte_test',
  kind: 'content',
  help: 'Reads a number out of the buffer and compares it.',
  usage: ['byte_test:bytes,[!]operator,value,offset[,relative][,endian][,string,base][,dce][,bitmask mask]'],
  value: 'required',
  parse(draft, option: OptionText) {
    const args = option.split();
    if (args.length < 4) option.fail(option.whole(), 'fewer than four values', ['bytes,operator,value,offset']);
    const [bytes, operator, value, offset] = args as [Arg, Arg, Arg, Arg];
    const step = new ByteTestStep();
    const count = valueOrVariable(draft, option, bytes, 0, 23);
    step.bytes = count.value;
    step.bytesVar = count.variable;
    const sign = /^(!?)\s*(<=|>=|<|>|=|&|\^)?$/.exec(operator.text);
    if (sign === null || (sign[1] === '' && sign[2] === undefined)) option.fail(operator, 'unknown operator', Object.keys(OPERATORS).concat('!operator'));
    step.negated = sign[1] === '!';
    step.operator = OPERATORS[sign[2] ?? '=']!;
    const number = wide(value.text);
    if (number !== null) {
      step.valueHi = number.hi;
      step.valueLo = number.lo;
    } else {
      step.valueVar = draft.variable(option, value);
    }
    const place = valueOrVariable(draft, option, offset, -MAX_TEST_OFFSET, MAX_TEST_OFFSET);
    step.offset = place.value;
    step.offsetVar = place.variable;
    const format = new FormatReader(option, step.format);
    for (const arg of args.slice(4)) {
      if (format.take(arg)) continue;
      const { word, rest } = splitWord(arg);
      if (arg.text === 'relative') step.relative = true;
      else if (word === 'bitmask') {
        step.hasMask = true;
        step.maskLo = maskOf(option, rest);
      } else option.fail(arg, 'unknown option', [...FORMAT_WORDS, 'bitmask mask']);
    }
    format.finish(bytes, step.bytes);
    draft.add(step);
  },
});
