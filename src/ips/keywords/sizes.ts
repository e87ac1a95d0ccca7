/** isdataat, bsize, urilen: how many bytes there are. */
import { keyword } from '../keyword.js';
import { IsDataAtStep, SizeStep } from '../match/step.js';
import { parseNumberTest, trimArg } from '../option.js';
import { valueOrVariable } from './byte-args.js';

const MAX_SIZE = 65_535;

export const isdataat = keyword({
  name: 'isdataat',
  kind: 'content',
  help: 'There is data at this offset of the buffer; with ! there is none.',
  usage: ['isdataat:offset[,relative]', 'isdataat:!offset[,relative]'],
  value: 'required',
  parse(draft, option) {
    const [first, ...rest] = option.split();
    if (first === undefined) option.fail(option.whole(), 'a number is missing', ['offset', '!offset']);
    const step = new IsDataAtStep();
    step.negated = first.text.startsWith('!');
    const place = valueOrVariable(draft, option, trimArg({ text: first.text.replace(/^!/, ''), at: first.at + (step.negated ? 1 : 0) }), 0, MAX_SIZE);
    step.at = place.value;
    step.atVar = place.variable;
    for (const arg of rest) {
      if (arg.text === 'relative') step.relative = true;
      else if (arg.text !== 'rawbytes') option.fail(arg, 'unknown option', ['relative', 'rawbytes']);
    }
    draft.add(step);
  },
});

export const bsize = keyword({
  name: 'bsize',
  kind: 'content',
  help: 'Size of the sticky buffer in bytes; of a body that is still growing only what is already certain counts.',
  usage: ['bsize:n', 'bsize:<n', 'bsize:>n', 'bsize:low<>high'],
  value: 'required',
  parse(draft, option) {
    if (draft.current === draft.payload) option.fail(null, 'has to follow a sticky buffer', ['http.uri; bsize:n'], 'conflict');
    draft.add(new SizeStep(parseNumberTest(option, option.unquoted(), 0, Number.MAX_SAFE_INTEGER)));
  },
});

export const urilen = keyword({
  name: 'urilen',
  kind: 'content',
  help: 'Length of the URI as sent (raw, the default), or after normalisation (norm).',
  usage: ['urilen:n', 'urilen:<n', 'urilen:>n', 'urilen:low<>high', 'urilen:n,norm', 'urilen:n,raw'],
  value: 'required',
  parse(draft, option) {
    const [number, form, ...more] = option.split();
    if (number === undefined) option.fail(option.whole(), 'a number is missing', ['n', '<n', '>n', 'low<>high']);
    if (more.length > 0) option.fail(more[0]!, 'unknown option', ['raw', 'norm']);
    if (form !== undefined && form.text !== 'raw' && form.text !== 'norm') option.fail(form, 'unknown option', ['raw', 'norm']);
    const test = parseNumberTest(option, number, 0, MAX_SIZE);
    draft.bufferNamed(option, form?.text === 'norm' ? 'http.uri' : 'http.uri.raw').steps.push(new SizeStep(test));
  },
});
