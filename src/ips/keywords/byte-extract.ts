import { keyword } from '../keyword.js';
import { ByteExtractStep } from '../match/step.js';
import { splitWord, type Arg } from '../option.js';
import { FORMAT_WORDS, FormatReader, MAX_OFFSET } from './byte-args.js';

export const byteExtract = keyword({
  name: 'byte_extract',
  kind: 'content',
  help: 'Reads a number out of the buffer into a variable for later keywords of the rule.',
  usage: ['byte_extract:bytes,offset,name[,relative][,multiplier n][,endian][,string,base][,align 2|4][,dce]'],
  value: 'required',
  parse(draft, option) {
    const args = option.split();
    if (args.length < 3) option.fail(option.whole(), 'fewer than three values', ['bytes,offset,name']);
    const [bytes, offset, name] = args as [Arg, Arg, Arg];
    const step = new ByteExtractStep();
    step.bytes = option.integer(bytes, 1, 23);
    step.offset = option.integer(offset, -MAX_OFFSET, MAX_OFFSET);
    const format = new FormatReader(option, step.format);
    for (const arg of args.slice(3)) {
      if (format.take(arg)) continue;
      const { word, rest } = splitWord(arg);
      if (word === 'relative') step.relative = true;
      else if (word === 'multiplier') step.multiplier = option.integer(rest, 1, 65_535);
      else if (word === 'align') {
        step.align = option.integer(rest, 2, 4);
        if (step.align === 3) option.fail(rest, 'alignment is to 2 or 4 bytes', ['2', '4']);
      } else option.fail(arg, 'unknown option', [...FORMAT_WORDS, 'multiplier n', 'align 2', 'align 4']);
    }
    format.finish(bytes, step.bytes);
    step.variable = draft.defineVariable(option, name);
    draft.add(step);
  },
});
