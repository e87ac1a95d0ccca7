/** frame: the protocol data units a parser recognised. */
import { keyword } from '../keyword.js';
import { trimArg } from '../option.js';

export const frame = keyword({
  name: 'frame',
  kind: 'buffer',
  help: 'One protocol data unit as the parser cut it from the stream: frame:type, or frame:protocol.type.',
  usage: ['frame:pdu', 'frame:mqtt.pdu'],
  value: 'required',
  parse(draft, option) {
    const arg = trimArg(option.unquoted());
    const own = `frame.${draft.rule.protocol}.${arg.text}`;
    const name = draft.context.apps.buffer(own) === null ? `frame.${arg.text}` : own;
    if (draft.context.apps.buffer(name) === null) {
      const known = draft.context.apps.bufferNames.filter((buffer) => buffer.startsWith('frame.')).map((buffer) => buffer.slice(6));
      option.fail(arg, 'no parser makes this frame', known, 'unknown-buffer');
    }
    draft.select(option, name);
  },
});
