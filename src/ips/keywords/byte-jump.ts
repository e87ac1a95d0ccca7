import { keyword } from '../keyword.js';
import { ByteJumpStep } from '../match/step.js';
import { splitWord, type Arg } from '../option.js';
import { FORMAT_WORDS, FormatReader, MAX_OFFSET, maskOf, valueOrVariable } from './byte-args.js';

export const byteJump = keyword({
  name: 'byte_jump',
  kind: 'content',
  help: 'Reads a number out of the buffer and moves the point that relative keywords start from by it.',
  usage: ['byte_jump:bytes,offset[,relative][,multiplier n][,endian][,string,base][,align][,from_beginning][,from_end][,post_offset n][,dce][,bitmask mask]'],
  value: 'required',
  parse(draft, option) {
    const args = option.split();
    if (args.length < 2) option.fail(option.whole(), 'fewer than two values', ['bytes,offset']);
    const [bytes, offset] = args as [Arg, Arg];
    const step = new ByteJumpStep();
    const count = valueOrVariable(draft, option, bytes, 0, 23);
    step.bytes = count.value;
    step.bytesVar = count.variable;
    const place = valueOrVariable(draft, option, offset, -MAX_OFFSET, MAX_OFFSET);
    step.offset = place.value;
    step.offsetVar = place.variable;
    const format = new FormatReader(option, step.format);
    for (const arg of args.slice(2)) {
      if (format.take(arg)) continue;
      const { word, rest } = splitWord(arg);
      switch (word) {
        case 'relative':
          step.relative = true;
          break;
        case 'align':
          step.align = true;
          break;
        case 'from_beginning':
          step.fromBeginning = true;
          break;
        case 'from_end':
          step.fromEnd = true;
          break;
        case 'multiplier':
          step.multiplier = option.integer(rest, 1, 65_535);
          break;
        case 'post_offset':
          step.postOffset = option.integer(rest, -MAX_OFFSET, MAX_OFFSET);
          break;
        case 'bitmask':
          step.hasMask = true;
          step.maskLo = maskOf(option, rest);
          break;
        default:
          option.fail(arg, 'unknown option', [...FORMAT_WORDS, 'align', 'from_beginning', 'from_end', 'multiplier n', 'post_offset n', 'bitmask mask']);
      }
    }
    if (step.fromBeginning && step.fromEnd) option.fail(null, 'from_beginning and from_end exclude each other', [], 'conflict');
    format.finish(bytes, step.bytes);
    draft.add(step);
  },
});
