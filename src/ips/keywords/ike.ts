/** Keywords of IKE. */
import { IKE_ATTRIBUTES } from '../../protocols/index.js';
import { DIR_TO_CLIENT } from '../draft.js';
import { keyword } from '../keyword.js';
import { parseNumberTest, trimArg } from '../option.js';
import { TxNumberMatch, UINT32, numeric } from './tx-numbers.js';

export const ikeExchtype = numeric('ike.exchtype', 'Exchange type of an IKE message.', { max: 255 });
export const ikeKeyExchangePayloadLength = numeric('ike.key_exchange_payload_length', 'Length of the key exchange payload of an IKE message.', { max: UINT32 });
export const ikeNoncePayloadLength = numeric('ike.nonce_payload_length', 'Length of the nonce payload of an IKE message.', { max: UINT32 });

export const ikeChosenSaAttribute = keyword({
  name: 'ike.chosen_sa_attribute',
  kind: 'transaction',
  help: 'An attribute of the proposal that an IKEv1 responder chose.',
  usage: ['ike.chosen_sa_attribute:alg_hash=2', `ike.chosen_sa_attribute:${IKE_ATTRIBUTES.join('|')}=n`],
  value: 'required',
  parse(draft, option) {
    const arg = trimArg(option.unquoted());
    const match = /^([a-z_]+)\s*=\s*(.*)$/i.exec(arg.text) ?? ['', '', ''];
    if (!IKE_ATTRIBUTES.includes(match[1]!)) option.fail(arg, 'not attribute=number', IKE_ATTRIBUTES.map((name) => `${name}=n`));
    const number = { text: match[2]!, at: arg.at + arg.text.length - match[2]!.length };
    draft.impliedApp = 'ike';
    draft.txMatches.push(new TxNumberMatch(`ike.sa.${match[1]!}`, parseNumberTest(option, number, 0, UINT32), DIR_TO_CLIENT));
    draft.perPacket = true;
  },
});
