/** Keywords that compare one number of a transaction; which ones there are the parsers say (Transaction.integer). */
import type { Transaction } from '../../protocols/index.js';
import { DIR_BOTH } from '../draft.js';
import { keyword, type Keyword } from '../keyword.js';
import { TxMatch, TxOutcome } from '../match/match.js';
import { Compare, NumberTest, parseNumberTest, trimArg, type OptionText } from '../option.js';

export class TxNumberMatch extends TxMatch {
  constructor(
    readonly field: string,
    readonly test: NumberTest,
    override readonly directions: number = DIR_BOTH,
  ) {
    super();
  }

  override evaluate(tx: Transaction, dir: number, done: boolean): number {
    const list = tx.integers(this.field, dir);
    if (list === null) {
      const value = tx.integer(this.field, dir);
      if (value >= 0 && this.test.matches(value)) return TxOutcome.YES;
    } else {
      for (let i = 0; i < list.length; i++) if (this.test.matches(list[i]!)) return TxOutcome.YES;
    }
    return done ? TxOutcome.NO : TxOutcome.LATER;
  }
}

interface NumericOptions {
  readonly max: number;
  readonly aliases?: readonly string[];
  /** Protocol the number belongs to; the part before the first dot or underscore of the name unless given. */
  readonly app?: string;
  /** What the parser calls the number; the name unless given. */
  readonly field?: string;
  /** Directions in which the number exists. */
  readonly directions?: number;
  /** `low<>high` includes both ends. */
  readonly inclusive?: boolean;
  /** Words rules may write in place of numbers. */
  readonly words?: Readonly<Record<string, number>>;
}

/** A keyword that compares one number of a transaction. */
export function numeric<const Name extends string>(name: Name, help: string, options: NumericOptions): Keyword<Name> {
  const words = Object.keys(options.words ?? {});
  return keyword({
    name,
    ...(options.aliases === undefined ? {} : { aliases: options.aliases }),
    kind: 'transaction',
    help,
    usage: [`${name}:n`, `${name}:!n`, `${name}:<n`, `${name}:>n`, `${name}:low<>high`, ...(words.length === 0 ? [] : [`${name}:${words.join('|')}`])],
    value: 'required',
    parse(draft, option) {
      draft.impliedApp = options.app ?? name.split(/[._]/)[0]!;
      const arg = trimArg(option.unquoted());
      const word = options.words !== undefined && Object.hasOwn(options.words, arg.text.toLowerCase()) ? options.words[arg.text.toLowerCase()]! : -1;
      const test = word >= 0 ? new NumberTest(Compare.EQ, word, 0) : parseNumberTest(option, arg, 0, options.max, options.inclusive);
      draft.txMatches.push(new TxNumberMatch(options.field ?? name, test, options.directions));
      draft.perPacket = true;
    },
  });
}

export const UINT32 = 0xffff_ffff;

export const dnsOpcode = numeric('dns.opcode', 'Operation of a DNS message: 0 query, 4 notify, 5 update.', { max: 15 });
export const dnsRcode = numeric('dns.rcode', 'Response code of a DNS answer.', { max: 65_535 });
export const tlsCertChainLen = numeric('tls.cert_chain_len', 'Certificates in the chain a TLS peer sent.', { max: UINT32 });

const VERSIONS: Readonly<Record<string, number>> = { ssl2: 0x0200, ssl3: 0x0300, 'sslv2': 0x0200, 'sslv3': 0x0300, '1.0': 0x0301, '1.1': 0x0302, '1.2': 0x0303, '1.3': 0x0304 };

/** Wire number of a version as rules write it, -1 when it is none. */
function versionOf(text: string): number {
  if (Object.hasOwn(VERSIONS, text)) return VERSIONS[text]!;
  return /^0x[0-9a-f]{1,4}$/i.test(text) ? Number(text) : -1;
}

export const tlsVersion = keyword({
  name: 'tls.version',
  kind: 'transaction',
  help: 'Version a TLS connection was set up with.',
  usage: ['tls.version:1.0|1.1|1.2|1.3', 'tls.version:0x7f12'],
  value: 'required',
  parse(draft, option: OptionText) {
    const arg = option.unquoted();
    const version = versionOf(arg.text.trim().toLowerCase());
    if (version < 0) option.fail(arg, 'unknown version', [...Object.keys(VERSIONS), '0xNNNN']);
    draft.impliedApp = 'tls';
    draft.txMatches.push(new TxNumberMatch('tls.version', new NumberTest(Compare.EQ, version, 0)));
    draft.perPacket = true;
  },
});
