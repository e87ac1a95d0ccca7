/** Keywords of EtherNet/IP and CIP. */
import { EnipTransaction, type Transaction } from '../../protocols/index.js';
import { keyword } from '../keyword.js';
import { TxMatch, TxOutcome } from '../match/match.js';
import { numeric } from './tx-numbers.js';

export const enipCommand = numeric('enip_command', 'Encapsulation command of an EtherNet/IP message.', { max: 65_535, app: 'enip', field: 'enip.command', aliases: ['enip.command'] });

class CipServiceMatch extends TxMatch {
  constructor(
    readonly service: number,
    readonly classId: number,
    readonly attribute: number,
    /** `!n`: the attribute is not this one. */
    readonly negated: boolean,
  ) {
    super();
  }

  override evaluate(tx: Transaction, _dir: number, done: boolean): number {
    if (tx instanceof EnipTransaction) {
      for (const { service, classId, attribute } of tx.services) {
        if (service !== this.service || (this.classId >= 0 && classId !== this.classId)) continue;
        if (this.attribute < 0 || (attribute === this.attribute) !== this.negated) return TxOutcome.YES;
      }
    }
    return done ? TxOutcome.NO : TxOutcome.LATER;
  }
}

export const cipService = keyword({
  name: 'cip_service',
  aliases: ['cip.service'],
  kind: 'transaction',
  help: 'Service, class and attribute of a CIP request inside EtherNet/IP.',
  usage: ['cip_service:n', 'cip_service:service,class', 'cip_service:service,class,attribute', 'cip_service:service,class,!attribute'],
  value: 'required',
  parse(draft, option) {
    const [service, classId, attribute, ...more] = option.split();
    if (service === undefined) option.fail(option.whole(), 'a number is missing', ['service[,class[,attribute]]']);
    if (more.length > 0) option.fail(more[0]!, 'more than three numbers', ['service[,class[,attribute]]']);
    const negated = attribute !== undefined && attribute.text.startsWith('!');
    draft.impliedApp = 'enip';
    draft.txMatches.push(
      new CipServiceMatch(
        option.integer(service, 0, 127),
        classId === undefined ? -1 : option.integer(classId, 0, 65_535),
        attribute === undefined ? -1 : option.integer(negated ? { text: attribute.text.slice(1), at: attribute.at + 1 } : attribute, 0, 65_535),
        negated,
      ),
    );
    draft.perPacket = true;
  },
});
