import { PROTO_TCP } from '../../packet/index.js';
import { keyword } from '../keyword.js';
import type { InspectContext } from '../match/context.js';
import { PacketMatch } from '../match/match.js';
import { parseNumberTest, type NumberTest } from '../option.js';

const SIDES = ['server', 'client', 'both', 'either'];

class StreamSizeMatch extends PacketMatch {
  constructor(
    readonly side: string,
    readonly test: NumberTest,
  ) {
    super();
  }

  /** Bytes each side has sent, counted as Suricata does: from the initial sequence number, so a handshake is one. */
  matches({ view, flow }: InspectContext): boolean {
    if (flow === null || view.proto !== PROTO_TCP) return false;
    const client = flow.toServer.end + 1;
    const server = flow.toClient.end + 1;
    switch (this.side) {
      case 'server':
        return this.test.matches(server);
      case 'client':
        return this.test.matches(client);
      case 'both':
        return this.test.matches(server) && this.test.matches(client);
      default:
        return this.test.matches(server) || this.test.matches(client);
    }
  }
}

export const streamSize = keyword({
  name: 'stream_size',
  kind: 'flow',
  help: 'Bytes of the TCP stream sent so far by a side.',
  usage: ['stream_size:server|client|both|either,<|>|=|!=|<=|>=,n'],
  value: 'required',
  parse(draft, option) {
    const [side, operator, number, ...more] = option.split();
    if (side === undefined || operator === undefined || number === undefined || more.length > 0) {
      option.fail(option.whole(), 'not three values', ['side,operator,number']);
    }
    if (!SIDES.includes(side.text)) option.fail(side, 'unknown side', SIDES);
    if (!['<', '>', '=', '==', '!=', '<=', '>='].includes(operator.text)) option.fail(operator, 'unknown operator', ['<', '>', '=', '!=', '<=', '>=']);
    const sign = operator.text === '==' ? '=' : operator.text;
    const test = parseNumberTest(option, { text: sign + number.text, at: operator.at }, 0, 0xffff_ffff);
    draft.packetsToo = true;
    draft.addPacketMatch(new StreamSizeMatch(side.text, test), false);
  },
});
