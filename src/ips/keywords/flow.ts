import { DIR_TO_CLIENT, DIR_TO_SERVER } from '../draft.js';
import { keyword } from '../keyword.js';
import type { InspectContext } from '../match/context.js';
import { PacketMatch } from '../match/match.js';

class EstablishedMatch extends PacketMatch {
  constructor(readonly wanted: boolean) {
    super();
  }

  matches({ view }: InspectContext): boolean {
    return view.established === this.wanted;
  }

  override get afterHandshake(): boolean {
    return this.wanted;
  }
}

class FragmentMatch extends PacketMatch {
  constructor(readonly wanted: boolean) {
    super();
  }

  matches({ view }: InspectContext): boolean {
    return view.fragment === this.wanted;
  }
}

const WORDS = [
  'to_server', 'from_client', 'to_client', 'from_server', 'established', 'not_established', 'stateless', 'only_stream', 'no_stream',
  'only_frag', 'no_frag',
];

export const flow = keyword({
  name: 'flow',
  kind: 'flow',
  help: 'Direction and state of the flow, and whether contents look at the stream or at packets.',
  usage: [`flow:${WORDS.join('|')}[,...]`],
  value: 'required',
  parse(draft, option) {
    let state = '';
    let direction = 0;
    for (const arg of option.split()) {
      switch (arg.text.toLowerCase()) {
        case 'to_server':
        case 'from_client':
          if (direction !== 0) option.fail(arg, 'a second direction', ['one direction'], 'conflict');
          direction = DIR_TO_SERVER;
          draft.restrict(option, DIR_TO_SERVER);
          break;
        case 'to_client':
        case 'from_server':
          if (direction !== 0) option.fail(arg, 'a second direction', ['one direction'], 'conflict');
          direction = DIR_TO_CLIENT;
          draft.restrict(option, DIR_TO_CLIENT);
          break;
        case 'established':
        case 'not_established':
        case 'stateless':
          if (state !== '') option.fail(arg, `excludes ${state}`, ['established', 'not_established', 'stateless'], 'conflict');
          state = arg.text.toLowerCase();
          draft.perPacket = true;
          if (state !== 'stateless') draft.addPacketMatch(new EstablishedMatch(state === 'established'), false);
          break;
        case 'only_stream':
          if (draft.noStream) option.fail(arg, 'excludes no_stream', [], 'conflict');
          draft.onlyStream = true;
          draft.perPacket = true;
          break;
        case 'no_stream':
          if (draft.onlyStream) option.fail(arg, 'excludes only_stream', [], 'conflict');
          draft.noStream = true;
          draft.perPacket = true;
          break;
        case 'only_frag':
        case 'no_frag':
          draft.addPacketMatch(new FragmentMatch(arg.text.toLowerCase() === 'only_frag'));
          break;
        default:
          option.fail(arg, 'unknown flow option', WORDS);
      }
    }
  },
});
