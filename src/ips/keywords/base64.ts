/** base64_decode and base64_data: contents in what a part of the buffer decodes to. */
import { BufferDraft } from '../draft.js';
import { keyword } from '../keyword.js';
import { Base64Step } from '../match/step.js';
import { splitWord, type OptionText } from '../option.js';

export const base64Decode = keyword({
  name: 'base64_decode',
  kind: 'content',
  help: 'Decodes base64 text in the buffer for base64_data.',
  usage: ['base64_decode', 'base64_decode:[bytes n][,offset n][,relative]'],
  value: 'optional',
  parse(draft, option: OptionText) {
    const step = new Base64Step();
    for (const arg of option.split()) {
      const { word, rest } = splitWord(arg);
      if (word === 'bytes') step.bytes = option.integer(rest, 1, 65_535);
      else if (word === 'offset') step.offset = option.integer(rest, 0, 65_535);
      else if (word === 'relative') step.relative = true;
      else option.fail(arg, 'unknown option', ['bytes n', 'offset n', 'relative']);
    }
    if (draft.buffers.some((buffer) => buffer.steps.some((other) => other instanceof Base64Step))) {
      option.fail(null, 'base64_decode is given twice in this rule', [], 'conflict');
    }
    draft.add(step);
  },
});

export const base64Data = keyword({
  name: 'base64_data',
  kind: 'buffer',
  help: 'The contents that follow look at what base64_decode decoded.',
  usage: ['base64_data'],
  value: 'none',
  parse(draft, option: OptionText) {
    const decoder = draft.buffers.flatMap((buffer) => buffer.steps).find((step) => step instanceof Base64Step);
    if (decoder === undefined) option.fail(null, 'has to follow base64_decode', ['base64_decode; base64_data'], 'conflict');
    let data = draft.buffers.find((buffer) => buffer.kind === 'base64');
    if (data === undefined) {
      data = new BufferDraft('base64', 'base64_data');
      draft.buffers.push(data);
      decoder.data = data.steps;
    }
    draft.current = data;
    draft.lastContent = null;
  },
});
