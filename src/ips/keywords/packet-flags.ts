/** Keywords about single bits of the packet header: TCP flags, IP options, fragmentation. */
import {
  IP_DF, IP_MF, IP_RESERVED, IPV4_OPT_CIPSO, IPV4_OPT_EOL, IPV4_OPT_ESEC, IPV4_OPT_LSRR, IPV4_OPT_NOP, IPV4_OPT_QS, IPV4_OPT_RR,
  IPV4_OPT_RTRALT, IPV4_OPT_SEC, IPV4_OPT_SID, IPV4_OPT_SSRR, IPV4_OPT_TS, PROTO_TCP,
} from '../../packet/index.js';
import { keyword } from '../keyword.js';
import type { InspectContext } from '../match/context.js';
import { PacketMatch } from '../match/match.js';
import { parseNumberTest, type NumberTest, type OptionText } from '../option.js';

const FLAGS: Readonly<Record<string, number>> = { F: 0x01, S: 0x02, R: 0x04, P: 0x08, A: 0x10, U: 0x20, E: 0x40, C: 0x80, '1': 0x80, '2': 0x40, '0': 0 };
const MODES = ['+', '*', '!'];
const ALL_FLAGS = 0xff;

/** Exactly these bits, all of them (+), any of them (*), not exactly these (!). */
const Mode = { EXACT: 0, ALL: 1, ANY: 2, NOT: 3 } as const;

class TcpFlagsMatch extends PacketMatch {
  constructor(
    readonly mode: number,
    readonly flags: number,
    readonly mask: number,
  ) {
    super();
  }

  matches({ view }: InspectContext): boolean {
    return view.proto === PROTO_TCP && view.l4Off >= 0 && this.takesTcpFlags(view.tcpFlags);
  }

  override takesTcpFlags(flags: number): boolean {
    const seen = flags & this.mask;
    switch (this.mode) {
      case Mode.ALL:
        return (seen & this.flags) === this.flags;
      case Mode.ANY:
        return (seen & this.flags) !== 0;
      case Mode.NOT:
        return (seen & this.flags) !== this.flags;
      default:
        return seen === this.flags;
    }
  }
}

function letters(option: OptionText, text: string, at: number): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const letter = text[i]!.toUpperCase();
    if (!Object.hasOwn(FLAGS, letter)) option.fail({ text: text[i]!, at: at + i }, 'unknown TCP flag', Object.keys(FLAGS));
    bits |= FLAGS[letter]!;
  }
  return bits;
}

export const flags = keyword({
  name: 'flags',
  aliases: ['tcp.flags'],
  kind: 'packet',
  help: 'TCP flags: exactly these, with + at least these, with * any of them, with ! not these; behind a comma those to ignore.',
  usage: ['flags:[+|*|!]FSRPAUEC0[,ignored flags]'],
  value: 'required',
  parse(draft, option: OptionText) {
    const [first, ignored, ...more] = option.split();
    if (first === undefined) option.fail(option.whole(), 'flags are missing', Object.keys(FLAGS));
    if (more.length > 0) option.fail(more[0]!, 'more than two lists', ['flags,ignored flags']);
    const sign = /^([+*!])?(.*?)\s*([+*!])?$/.exec(first.text.replace(/\s+/g, ''))!;
    if (sign[1] !== undefined && sign[3] !== undefined) option.fail(first, 'two modifiers', MODES);
    const mode = { '+': Mode.ALL, '*': Mode.ANY, '!': Mode.NOT }[sign[1] ?? sign[3] ?? ''] ?? Mode.EXACT;
    // N, for none, is Snort's spelling of 0.
    const text = sign[2]!;
    if (text === '') option.fail(first, 'flags are missing', Object.keys(FLAGS));
    const at = first.at + (sign[1] === undefined ? 0 : 1);
    const wanted = letters(option, text.replace(/n/gi, '0'), at);
    const mask = ignored === undefined ? ALL_FLAGS : ALL_FLAGS & ~letters(option, ignored.text, ignored.at);
    draft.addPacketMatch(new TcpFlagsMatch(mode, wanted & mask, mask));
  },
});

const IP_OPTIONS: Readonly<Record<string, number>> = {
  rr: IPV4_OPT_RR, eol: IPV4_OPT_EOL, nop: IPV4_OPT_NOP, ts: IPV4_OPT_TS, sec: IPV4_OPT_SEC, esec: IPV4_OPT_ESEC, lsrr: IPV4_OPT_LSRR,
  lsrre: IPV4_OPT_LSRR, ssrr: IPV4_OPT_SSRR, satid: IPV4_OPT_SID, cipso: IPV4_OPT_CIPSO, qs: IPV4_OPT_QS, rtralt: IPV4_OPT_RTRALT, any: -1,
};

class IpOptionMatch extends PacketMatch {
  constructor(readonly bits: number) {
    super();
  }

  matches({ view }: InspectContext): boolean {
    return view.ipVersion === 4 && (view.ipOptions & this.bits) !== 0;
  }
}

export const ipopts = keyword({
  name: 'ipopts',
  kind: 'packet',
  help: 'The IPv4 header has this option.',
  usage: [`ipopts:${Object.keys(IP_OPTIONS).join('|')}`],
  value: 'required',
  parse(draft, option: OptionText) {
    const arg = option.unquoted();
    if (!Object.hasOwn(IP_OPTIONS, arg.text)) option.fail(arg, 'unknown IP option', Object.keys(IP_OPTIONS));
    draft.addPacketMatch(new IpOptionMatch(IP_OPTIONS[arg.text]!));
  },
});

const FRAGMENT_BITS: Readonly<Record<string, number>> = { M: IP_MF, D: IP_DF, R: IP_RESERVED };

class FragBitsMatch extends PacketMatch {
  constructor(
    readonly mode: number,
    readonly bits: number,
  ) {
    super();
  }

  matches({ view }: InspectContext): boolean {
    if (view.ipVersion === 0) return false;
    const seen = view.ipFlags & (IP_MF | IP_DF | IP_RESERVED);
    switch (this.mode) {
      case Mode.ALL:
        return (seen & this.bits) === this.bits;
      case Mode.ANY:
        return (seen & this.bits) !== 0;
      case Mode.NOT:
        return (seen & this.bits) !== this.bits;
      default:
        return seen === this.bits;
    }
  }
}

export const fragbits = keyword({
  name: 'fragbits',
  kind: 'packet',
  help: 'Fragmentation bits: more fragments (M), do not fragment (D), reserved (R); + all, * any, ! not.',
  usage: ['fragbits:[+|*|!]MDR'],
  value: 'required',
  parse(draft, option: OptionText) {
    const arg = option.unquoted();
    const match = /^([+*!]?)\s*([MDR]+)\s*([+*!]?)$/i.exec(arg.text);
    if (match === null || (match[1] !== '' && match[3] !== '')) option.fail(arg, 'not fragmentation bits', ['M', 'D', 'R', ...MODES]);
    let bits = 0;
    for (const letter of match[2]!.toUpperCase()) bits |= FRAGMENT_BITS[letter]!;
    const mode = { '+': Mode.ALL, '*': Mode.ANY, '!': Mode.NOT }[match[1]! + match[3]!] ?? Mode.EXACT;
    draft.addPacketMatch(new FragBitsMatch(mode, bits));
  },
});

class FragOffsetMatch extends PacketMatch {
  constructor(readonly test: NumberTest) {
    super();
  }

  matches({ view }: InspectContext): boolean {
    return view.ipVersion !== 0 && this.test.matches(view.fragOff >>> 3);
  }
}

export const fragoffset = keyword({
  name: 'fragoffset',
  kind: 'packet',
  help: 'Fragment offset in units of eight bytes.',
  usage: ['fragoffset:[<|>|!]n'],
  value: 'required',
  parse(draft, option: OptionText) {
    draft.addPacketMatch(new FragOffsetMatch(parseNumberTest(option, option.unquoted(), 0, 8191)));
  },
});
