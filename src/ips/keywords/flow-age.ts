import { keyword } from '../keyword.js';
import type { InspectContext } from '../match/context.js';
import { PacketMatch } from '../match/match.js';
import { parseNumberTest, type NumberTest } from '../option.js';

class FlowAgeMatch extends PacketMatch {
  constructor(readonly test: NumberTest) {
    super();
  }

  matches({ view, flow }: InspectContext): boolean {
    return flow !== null && this.test.matches(Math.max(0, view.tsSec - flow.startSec));
  }
}

export const flowAge = keyword({
  name: 'flow.age',
  kind: 'flow',
  help: 'Seconds between the first packet of the flow and this one.',
  usage: ['flow.age:n', 'flow.age:<n', 'flow.age:>n', 'flow.age:low<>high'],
  value: 'required',
  parse(draft, option) {
    draft.addPacketMatch(new FlowAgeMatch(parseNumberTest(option, option.unquoted(), 0, 0xffff_ffff)));
  },
});
