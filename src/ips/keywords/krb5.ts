/** Keywords of Kerberos 5. */
import type { Transaction } from '../../protocols/index.js';
import { keyword } from '../keyword.js';
import { TxMatch, TxOutcome } from '../match/match.js';
import { UINT32, numeric } from './tx-numbers.js';

export const krb5MsgType = numeric('krb5_msg_type', 'Type of a Kerberos message: 10 AS-REQ, 11 AS-REP, 12 TGS-REQ, 13 TGS-REP, 30 error.', { max: 255, app: 'krb5', field: 'krb5.msg_type', aliases: ['krb5.msg_type'] });
export const krb5ErrCode = numeric('krb5_err_code', 'Code of a Kerberos error.', { max: UINT32, app: 'krb5', field: 'krb5.err_code', aliases: ['krb5.err_code'] });

/** Encryption types (RFC 3961 section 8 and its registry) by the names rules use. */
const TYPES: Readonly<Record<string, number>> = {
  'des-cbc-crc': 1, 'des-cbc-md4': 2, 'des-cbc-md5': 3, 'des3-cbc-md5': 5, 'des3-cbc-sha1': 7, 'dsawithsha1-cmsoid': 9, 'md5withrsaencryption-cmsoid': 10,
  'sha1withrsaencryption-cmsoid': 11, 'rc2cbc-envoid': 12, 'rsaencryption-envoid': 13, 'rsaes-oaep-env-oid': 14, 'des-ede3-cbc-env-oid': 15, 'des3-cbc-sha1-kd': 16,
  'aes128-cts-hmac-sha1-96': 17, 'aes256-cts-hmac-sha1-96': 18, 'aes128-cts-hmac-sha256-128': 19, 'aes256-cts-hmac-sha384-192': 20, 'rc4-hmac': 23, 'rc4-hmac-exp': 24,
  'camellia128-cts-cmac': 25, 'camellia256-cts-cmac': 26, 'subkey-keymaterial': 65,
};
/** What `weak` stands for: everything older than AES. */
const STRONG: ReadonlySet<number> = new Set([16, 17, 18, 19, 20, 25, 26]);

class TicketEncryption extends TxMatch {
  constructor(
    readonly types: readonly number[],
    readonly weak: boolean,
    readonly negated: boolean,
  ) {
    super();
  }

  override evaluate(tx: Transaction, dir: number, done: boolean): number {
    const type = tx.integer('krb5.ticket_encryption', dir);
    if (type < 0) return done ? TxOutcome.NO : TxOutcome.LATER;
    const is = this.weak ? !STRONG.has(type) : this.types.includes(type);
    return is !== this.negated ? TxOutcome.YES : TxOutcome.NO;
  }
}

export const krb5TicketEncryption = keyword({
  name: 'krb5.ticket_encryption',
  kind: 'transaction',
  help: 'Encryption type of the ticket in a Kerberos reply, by name or number; weak means anything older than AES.',
  usage: ['krb5.ticket_encryption:weak', 'krb5.ticket_encryption:rc4-hmac,des-cbc-md5', 'krb5.ticket_encryption:!18'],
  value: 'required',
  parse(draft, option) {
    const args = option.split();
    const negated = args[0]?.text.startsWith('!') === true;
    let weak = false;
    const types: number[] = [];
    args.forEach((arg, i) => {
      const text = (i === 0 ? arg.text.replace(/^!\s*/, '') : arg.text).toLowerCase();
      if (text === 'weak') weak = true;
      else if (Object.hasOwn(TYPES, text)) types.push(TYPES[text]!);
      else types.push(option.integer({ text, at: arg.at + arg.text.length - text.length }, -255, 255));
    });
    if (!weak && types.length === 0) option.fail(option.whole(), 'an encryption type is missing', ['weak', ...Object.keys(TYPES)]);
    draft.impliedApp = 'krb5';
    draft.txMatches.push(new TicketEncryption(types, weak, negated));
    draft.perPacket = true;
  },
});
