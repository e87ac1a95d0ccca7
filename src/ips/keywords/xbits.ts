/** xbits and hostbits: bits of an address, or of a pair of addresses, that outlive the flow. */
import type { RuleDraft } from '../draft.js';
import { keyword } from '../keyword.js';
import type { InspectContext } from '../match/context.js';
import { PacketMatch, PostMatch } from '../match/match.js';
import { splitWord, type Arg, type OptionText } from '../option.js';
import { fillKey, packetTime, Track } from '../state/shared-state.js';
import { RANK_READS, RANK_SETS } from './flowbits.js';

const DEFAULT_EXPIRE = 30;
/** hostbits have no expiry of their own in rules; this is how long one is kept. */
const HOSTBIT_EXPIRE = 300;
const SUB_XBITS = 1;
const SUB_HOSTBITS = 2;

class HostBitMatch extends PacketMatch {
  constructor(
    readonly id: number,
    readonly sub: number,
    readonly track: number,
    readonly wanted: boolean,
  ) {
    super();
  }

  matches({ view, shared }: InspectContext): boolean {
    fillKey(shared.bits, this.id, this.sub, this.track, view);
    return shared.bits.find(packetTime(view)) >= 0 === this.wanted;
  }
}

class HostBitAction extends PostMatch {
  constructor(
    readonly id: number,
    readonly sub: number,
    readonly track: number,
    readonly action: string,
    readonly expire: number,
  ) {
    super();
  }

  apply({ view, shared }: InspectContext): void {
    const now = packetTime(view);
    const table = shared.bits;
    fillKey(table, this.id, this.sub, this.track, view);
    const slot = table.find(now);
    if (slot >= 0 && this.action !== 'set') {
      table.remove(slot);
      return;
    }
    if (this.action === 'unset') return;
    const at = slot >= 0 ? slot : table.insert(now);
    table.started[at] = now;
    table.count[at] = 1;
    table.expires[at] = now + this.expire;
  }
}

const ACTIONS = ['set', 'unset', 'toggle', 'isset', 'isnotset', 'noalert'];

function add(draft: RuleDraft, action: string, id: number, sub: number, track: number, expire: number): void {
  if (action === 'isset' || action === 'isnotset') {
    draft.packetMatches.push(new HostBitMatch(id, sub, track, action === 'isset'));
    draft.stateRank |= RANK_READS;
  } else {
    draft.postMatches.push(new HostBitAction(id, sub, track, action, expire));
    draft.stateRank |= RANK_SETS;
  }
}

function actionAndName(draft: RuleDraft, option: OptionText, args: readonly Arg[]): { action: string; id: number } | null {
  const [action, name] = args;
  if (action === undefined) option.fail(option.whole(), 'an action is missing', ACTIONS);
  if (!ACTIONS.includes(action.text)) option.fail(action, 'unknown action', ACTIONS);
  if (action.text === 'noalert') {
    draft.noalert = true;
    return null;
  }
  if (name === undefined || !/^[\w.-]+$/.test(name.text)) option.fail(name ?? option.whole(), 'not a name of a bit', ['letters, digits, . _ -']);
  return { action: action.text, id: draft.context.names.hostbits.id(name.text) };
}

const XBIT_TRACKS: Readonly<Record<string, number>> = { ip_src: Track.BY_SRC, ip_dst: Track.BY_DST, ip_pair: Track.PAIR };

export const xbits = keyword({
  name: 'xbits',
  kind: 'flow',
  help: 'Bits of a source, a destination or a pair of addresses, for a time.',
  usage: ['xbits:set|unset|toggle|isset|isnotset,name,track ip_src|ip_dst|ip_pair[,expire seconds]', 'xbits:noalert'],
  value: 'required',
  parse(draft, option) {
    const args = option.split();
    const bit = actionAndName(draft, option, args);
    if (bit === null) return;
    let track = -1;
    let expire = DEFAULT_EXPIRE;
    for (const arg of args.slice(2)) {
      const { word, rest } = splitWord(arg);
      if (word === 'track') {
        if (!Object.hasOwn(XBIT_TRACKS, rest.text)) option.fail(rest, 'unknown track', Object.keys(XBIT_TRACKS));
        track = XBIT_TRACKS[rest.text]!;
      } else if (word === 'expire') expire = option.integer(rest, 1, 0xffff_ffff);
      else option.fail(arg, 'unknown option', ['track ip_src|ip_dst|ip_pair', 'expire seconds']);
    }
    if (track < 0) option.fail(option.whole(), 'track is missing', ['track ip_src', 'track ip_dst', 'track ip_pair']);
    add(draft, bit.action, bit.id, SUB_XBITS, track, expire);
  },
});

export const hostbits = keyword({
  name: 'hostbits',
  kind: 'flow',
  help: 'Bits of the source or destination address.',
  usage: ['hostbits:set|unset|toggle|isset|isnotset,name[,src|dst|both]', 'hostbits:noalert'],
  value: 'required',
  parse(draft, option) {
    const args = option.split();
    const bit = actionAndName(draft, option, args);
    if (bit === null) return;
    const [, , side, ...more] = args;
    if (more.length > 0) option.fail(more[0]!, 'unexpected text', ['src', 'dst', 'both']);
    const which = side?.text ?? 'src';
    if (!['src', 'dst', 'both'].includes(which)) option.fail(side!, 'unknown side', ['src', 'dst', 'both']);
    if (which !== 'dst') add(draft, bit.action, bit.id, SUB_HOSTBITS, Track.BY_SRC, HOSTBIT_EXPIRE);
    if (which !== 'src') add(draft, bit.action, bit.id, SUB_HOSTBITS, Track.BY_DST, HOSTBIT_EXPIRE);
  },
});
