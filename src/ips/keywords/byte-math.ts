import { keyword } from '../keyword.js';
import { ByteMathStep, MathOp } from '../match/step.js';
import { splitWord, type Arg } from '../option.js';
import { FormatReader, MAX_OFFSET, maskOf, valueOrVariable } from './byte-args.js';

const OPERATORS: Readonly<Record<string, number>> = {
  '+': MathOp.ADD,
  '-': MathOp.SUB,
  '*': MathOp.MUL,
  '/': MathOp.DIV,
  '<<': MathOp.SHL,
  '>>': MathOp.SHR,
};

const WORDS = ['bytes n', 'offset n', 'oper + - * / << >>', 'rvalue n', 'result name', 'relative', 'endian big|little', 'string hex|dec|oct', 'dce', 'bitmask mask'];

export const byteMath = keyword({
  name: 'byte_math',
  kind: 'content',
  help: 'Reads a number out of the buffer, calculates with it and keeps the result in a variable.',
  usage: ['byte_math:bytes n,offset n,oper operator,rvalue n,result name[,relative][,endian big|little][,string base][,dce][,bitmask mask]'],
  value: 'required',
  parse(draft, option) {
    const step = new ByteMathStep();
    const format = new FormatReader(option, step.format);
    const given = new Map<string, Arg>();
    for (const arg of option.split()) {
      const { word, rest } = splitWord(arg);
      if (given.has(word)) option.fail(arg, `${word} is given twice`, [], 'conflict');
      given.set(word, rest);
      switch (word) {
        case 'bytes': {
          const count = valueOrVariable(draft, option, rest, 1, 10);
          step.bytes = count.value;
          step.bytesVar = count.variable;
          break;
        }
        case 'offset': {
          const place = valueOrVariable(draft, option, rest, -MAX_OFFSET, MAX_OFFSET);
          step.offset = place.value;
          step.offsetVar = place.variable;
          break;
        }
        case 'oper':
          if (!Object.hasOwn(OPERATORS, rest.text)) option.fail(rest, 'unknown operator', Object.keys(OPERATORS));
          step.operator = OPERATORS[rest.text]!;
          break;
        case 'rvalue': {
          const operand = valueOrVariable(draft, option, rest, 0, 0xffff_ffff);
          step.operand = operand.value;
          step.operandVar = operand.variable;
          break;
        }
        case 'result':
          break;
        case 'relative':
          step.relative = true;
          break;
        case 'dce':
          format.take({ text: 'dce', at: arg.at });
          break;
        case 'endian':
          if (rest.text !== 'big' && rest.text !== 'little') option.fail(rest, 'unknown byte order', ['big', 'little']);
          format.take(rest);
          break;
        case 'string':
          if (!['hex', 'dec', 'oct'].includes(rest.text)) option.fail(rest, 'unknown base', ['hex', 'dec', 'oct']);
          format.take({ text: 'string', at: arg.at });
          format.take(rest);
          break;
        case 'bitmask':
          step.hasMask = true;
          step.maskLo = maskOf(option, rest);
          break;
        default:
          option.fail(arg, 'unknown option', WORDS);
      }
    }
    for (const word of ['bytes', 'offset', 'oper', 'rvalue', 'result']) {
      if (!given.has(word)) option.fail(option.whole(), `${word} is missing`, WORDS.slice(0, 5));
    }
    if (step.operator === MathOp.DIV && step.operandVar < 0 && step.operand === 0) option.fail(given.get('rvalue')!, 'division by zero', ['1..4294967295']);
    if ((step.operator === MathOp.SHL || step.operator === MathOp.SHR) && step.operandVar < 0 && step.operand > 63) {
      option.fail(given.get('rvalue')!, 'shifts more than 63 bits', ['0..63']);
    }
    format.finish(given.get('bytes')!, step.bytes);
    step.variable = draft.defineVariable(option, given.get('result')!);
    draft.add(step);
  },
});
