/** Keywords that compare one number of a transaction; which ones there are the parsers say (Transaction.integer). */
import type { Transaction } from '../../protocols/index.js';
import { keyword, type Keyword } from '../keyword.js';
import { TxMatch, TxOutcome } from '../match/match.js';
import { Compare, NumberTest, parseNumberTest, type OptionText } from '../option.js';

class TxNumberMatch extends TxMatch {
  constructor(
    readonly field: string,
    readonly test: NumberTest,
  ) {
    super();
  }

  override evaluate(tx: Transaction, dir: number, done: boolean): number {
    const value = tx.integer(this.field, dir);
    if (value >= 0 && this.test.matches(value)) return TxOutcome.YES;
    return done ? TxOutcome.NO : TxOutcome.LATER;
  }
}

function numeric<const Name extends string>(name: Name, max: number, help: string): Keyword<Name> {
  return keyword({
    name,
    kind: 'transaction',
    help,
    usage: [`${name}:n`, `${name}:!n`, `${name}:<n`, `${name}:>n`, `${name}:low<>high`],
    value: 'required',
    parse(draft, option) {
      draft.impliedApp = name.split('.')[0]!;
      draft.txMatches.push(new TxNumberMatch(name, parseNumberTest(option, option.unquoted(), 0, max)));
      draft.perPacket = true;
    },
  });
}

export const dnsOpcode = numeric('dns.opcode', 15, 'Operation of a DNS message: 0 query, 4 notify, 5 update.');
export const dnsRcode = numeric('dns.rcode', 65_535, 'Response code of a DNS answer.');
export const tlsCertChainLen = numeric('tls.cert_chain_len', 0xffff_ffff, 'Certificates in the chain a TLS peer sent.');

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
