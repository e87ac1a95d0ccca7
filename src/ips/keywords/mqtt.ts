/** Keywords of MQTT. */
import { MqttFlag, MqttType, type Transaction } from '../../protocols/index.js';
import { keyword, type Keyword } from '../keyword.js';
import { TxMatch, TxOutcome } from '../match/match.js';
import { numeric } from './tx-numbers.js';

const TYPES: Readonly<Record<string, number>> = Object.fromEntries(Object.entries(MqttType).map(([name, value]) => [name.toLowerCase(), value]));

export const mqttType = numeric('mqtt.type', 'Type of an MQTT message.', { max: 15, words: TYPES });
export const mqttQos = numeric('mqtt.qos', 'Quality of service of an MQTT message.', { max: 2 });
export const mqttProtocolVersion = numeric('mqtt.protocol_version', 'Protocol version an MQTT connection was opened with: 3, 4 (3.1.1) or 5.', { max: 255 });
export const mqttReasonCode = numeric('mqtt.reason_code', 'Reason or return code of an MQTT answer.', { max: 255, aliases: ['mqtt.connack.return_code'] });

/** Bits that have to be set and bits that must not be. */
class FlagsMatch extends TxMatch {
  constructor(
    readonly field: string,
    readonly set: number,
    readonly clear: number,
  ) {
    super();
  }

  override evaluate(tx: Transaction, dir: number, done: boolean): number {
    const list = tx.integers(this.field, dir);
    if (list === null) {
      const value = tx.integer(this.field, dir);
      if (value >= 0 && this.#holds(value)) return TxOutcome.YES;
    } else {
      for (let i = 0; i < list.length; i++) if (this.#holds(list[i]!)) return TxOutcome.YES;
    }
    return done ? TxOutcome.NO : TxOutcome.LATER;
  }

  #holds(value: number): boolean {
    return (value & this.set) === this.set && (value & this.clear) === 0;
  }
}

function flags<const Name extends string>(name: Name, help: string, bits: Readonly<Record<string, number>>): Keyword<Name> {
  const words = Object.keys(bits);
  return keyword({
    name,
    kind: 'transaction',
    help,
    usage: [`${name}:${words[0]}`, `${name}:!${words[0]},${words[1]}`],
    value: 'required',
    parse(draft, option) {
      let set = 0;
      let clear = 0;
      for (const arg of option.split()) {
        const negated = arg.text.startsWith('!');
        const word = arg.text.replace(/^!\s*/, '').toLowerCase();
        if (!Object.hasOwn(bits, word)) option.fail(arg, 'unknown flag', words);
        if (negated) clear |= bits[word]!;
        else set |= bits[word]!;
      }
      draft.impliedApp = 'mqtt';
      draft.txMatches.push(new FlagsMatch(name, set, clear));
      draft.perPacket = true;
    },
  });
}

export const mqttFlags = flags('mqtt.flags', 'Flags of an MQTT message; ! means not set.', { retain: MqttFlag.RETAIN, dup: MqttFlag.DUP });
export const mqttConnectFlags = flags('mqtt.connect.flags', 'Flags of an MQTT CONNECT message; ! means not set.', { username: 0x80, password: 0x40, will_retain: 0x20, will: 0x04, clean_session: 0x02 });
