/** decode-event and stream-event: what the decoder and connection tracking found wrong with the packet. */
import { STREAM_EVENTS } from '../../flow/index.js';
import { DECODE_EVENTS, decodeEventId } from '../../packet/index.js';
import { keyword } from '../keyword.js';
import type { InspectContext } from '../match/context.js';
import { PacketMatch } from '../match/match.js';

class DecodeEventMatch extends PacketMatch {
  constructor(readonly id: number) {
    super();
  }

  matches({ view }: InspectContext): boolean {
    for (let i = 0; i < view.eventCount; i++) if (view.events[i] === this.id) return true;
    return false;
  }
}

export const decodeEvent = keyword({
  name: 'decode-event',
  aliases: ['decoder-event'],
  kind: 'packet',
  help: 'The decoder found this wrong or odd in the packet.',
  usage: ['decode-event:ipv4.trunc_pkt'],
  value: 'required',
  parse(draft, option) {
    const arg = option.unquoted();
    const id = decodeEventId(arg.text);
    if (id < 0) {
      const family = arg.text.split('.')[0]!;
      const names = DECODE_EVENTS.slice(1).map((row) => row.name);
      const near = names.filter((name) => name.startsWith(`${family}.`));
      option.fail(arg, 'unknown decoder event', near.length > 0 ? near : names);
    }
    draft.decodeEvents.push(id);
    draft.addPacketMatch(new DecodeEventMatch(id));
  },
});

class StreamEventMatch extends PacketMatch {
  constructor(readonly id: number) {
    super();
  }

  matches({ streamEvents }: InspectContext): boolean {
    return streamEvents !== null && streamEvents.has(this.id);
  }
}

export const streamEvent = keyword({
  name: 'stream-event',
  kind: 'packet',
  help: 'Connection tracking or reassembly noticed this about the packet.',
  usage: ['stream-event:3whs_synack_with_wrong_ack'],
  value: 'required',
  parse(draft, option) {
    const arg = option.unquoted();
    const id = (STREAM_EVENTS as readonly string[]).indexOf(arg.text);
    if (id <= 0) option.fail(arg, 'unknown stream event', STREAM_EVENTS.slice(1));
    draft.addPacketMatch(new StreamEventMatch(id));
  },
});
