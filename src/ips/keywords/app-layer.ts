/** app-layer-protocol and app-layer-event. */
import type { Transaction } from '../../protocols/index.js';
import { keyword } from '../keyword.js';
import type { InspectContext } from '../match/context.js';
import { PacketMatch, TxMatch, TxOutcome } from '../match/match.js';

class AppProtocolMatch extends PacketMatch {
  constructor(
    readonly ids: readonly number[],
    readonly negated: boolean,
    /** `failed`: the flow's protocol was not recognised. */
    readonly failed: boolean,
  ) {
    super();
  }

  matches({ appOfDirection }: InspectContext): boolean {
    if (appOfDirection === 0) return false;
    const is = this.failed ? appOfDirection < 0 : this.ids.includes(appOfDirection);
    return is !== this.negated;
  }
}

export const appLayerProtocol = keyword({
  name: 'app-layer-protocol',
  kind: 'flow',
  help: 'The application protocol of the flow, once it is recognised by its content.',
  usage: ['app-layer-protocol:name', 'app-layer-protocol:!name', 'app-layer-protocol:failed'],
  value: 'required',
  parse(draft, option) {
    const [arg, mode] = option.split();
    if (arg === undefined) option.fail(option.whole(), 'a protocol is missing', draft.context.apps.names);
    const negated = arg.text.startsWith('!');
    const name = arg.text.replace(/^!\s*/, '');
    if (mode !== undefined && mode.text !== 'either' && mode.text !== 'final') option.fail(mode, 'unknown mode', ['either', 'final']);
    const ids = draft.context.apps.ids(name);
    if (ids === null && name !== 'failed') {
      option.fail({ text: name, at: arg.at + (negated ? 1 : 0) }, 'no parser for this protocol', ['failed', ...draft.context.apps.names], 'unknown-protocol');
    }
    draft.packetMatches.push(new AppProtocolMatch(ids ?? [], negated, name === 'failed'));
    draft.protocolOnly = true;
  },
});

class AppEventMatch extends TxMatch {
  constructor(readonly event: string) {
    super();
  }

  override evaluate(tx: Transaction, _dir: number, done: boolean): number {
    if (tx.events !== null && tx.events.includes(this.event)) return TxOutcome.YES;
    return done ? TxOutcome.NO : TxOutcome.LATER;
  }
}

/** Events of protocol detection; they belong to a packet. */
const DETECTION_EVENTS = [
  'applayer_mismatch_protocol_both_directions',
  'applayer_wrong_direction_first_data',
  'applayer_detect_protocol_only_one_direction',
  'applayer_proto_detection_skipped',
  'applayer_no_tls_after_starttls',
  'applayer_unexpected_protocol',
  'applayer_parser_error',
];

class DetectionEventMatch extends PacketMatch {
  constructor(readonly event: string) {
    super();
  }

  matches({ packetEvents }: InspectContext): boolean {
    return packetEvents.includes(this.event);
  }
}

export const appLayerEvent = keyword({
  name: 'app-layer-event',
  kind: 'transaction',
  help: 'The protocol parser found something odd in the transaction.',
  usage: ['app-layer-event:protocol.event'],
  value: 'required',
  parse(draft, option) {
    const arg = option.unquoted();
    if (DETECTION_EVENTS.includes(arg.text)) {
      draft.addPacketMatch(new DetectionEventMatch(arg.text), false);
      return;
    }
    if (!draft.context.apps.events.has(arg.text)) {
      const protocol = arg.text.split('.')[0]!;
      const known = [...draft.context.apps.events].filter((event) => event.startsWith(`${protocol}.`));
      option.fail(arg, 'no parser raises this event', known.length > 0 ? known : [...draft.context.apps.events], 'not-supported');
    }
    draft.impliedApp = arg.text.split('.')[0]!;
    draft.txMatches.push(new AppEventMatch(arg.text));
    draft.perPacket = true;
  },
});
