/** Keywords of DNP3. */
import { Dnp3Transaction, type Transaction } from '../../protocols/index.js';
import { DIR_TO_CLIENT } from '../draft.js';
import { keyword } from '../keyword.js';
import { TxMatch, TxOutcome } from '../match/match.js';
import { integerOf } from '../option.js';
import { numeric } from './tx-numbers.js';

/** Function codes (IEEE 1815 table 4-1) by the names rules use. */
const FUNCTIONS: Readonly<Record<string, number>> = {
  confirm: 0, read: 1, write: 2, select: 3, operate: 4, direct_operate: 5, direct_operate_nr: 6, immed_freeze: 7, immed_freeze_nr: 8, freeze_clear: 9, freeze_clear_nr: 10,
  freeze_at_time: 11, freeze_at_time_nr: 12, cold_restart: 13, warm_restart: 14, initialize_data: 15, initialize_appl: 16, start_appl: 17, stop_appl: 18, save_config: 19,
  enable_unsolicited: 20, disable_unsolicited: 21, assign_class: 22, delay_measure: 23, record_current_time: 24, open_file: 25, close_file: 26, delete_file: 27, get_file_info: 28,
  authenticate_file: 29, abort_file: 30, activate_config: 31, authenticate_req: 32, authenticate_err: 33, response: 129, unsolicited_response: 130, authenticate_resp: 131,
};
/** Internal indications (section 4.2.2.6.3): first byte high. */
const INDICATIONS: Readonly<Record<string, number>> = {
  all_stations: 0x0100, class_1_events: 0x0200, class_2_events: 0x0400, class_3_events: 0x0800, need_time: 0x1000, local_control: 0x2000, device_trouble: 0x4000, device_restart: 0x8000,
  no_func_code_support: 0x0001, object_unknown: 0x0002, parameter_error: 0x0004, event_buffer_overflow: 0x0008, already_executing: 0x0010, config_corrupt: 0x0020,
  reserved_2: 0x0040, reserved_1: 0x0080,
};

export const dnp3Func = numeric('dnp3_func', 'Function code of a DNP3 fragment.', { max: 255, app: 'dnp3', field: 'dnp3.func', words: FUNCTIONS });

class IndicationMatch extends TxMatch {
  override readonly directions = DIR_TO_CLIENT;

  constructor(readonly mask: number) {
    super();
  }

  override evaluate(tx: Transaction, dir: number, done: boolean): number {
    const value = tx.integer('dnp3.ind', dir);
    if (value >= 0 && (value & this.mask) !== 0) return TxOutcome.YES;
    return done ? TxOutcome.NO : TxOutcome.LATER;
  }
}

export const dnp3Ind = keyword({
  name: 'dnp3_ind',
  kind: 'transaction',
  help: 'Internal indications of a DNP3 response; one of those given has to be set.',
  usage: ['dnp3_ind:all_stations,device_restart', 'dnp3_ind:n'],
  value: 'required',
  parse(draft, option) {
    let mask = 0;
    for (const arg of option.split()) {
      if (Object.hasOwn(INDICATIONS, arg.text.toLowerCase())) mask |= INDICATIONS[arg.text.toLowerCase()]!;
      else if (integerOf(arg.text) !== null) mask |= option.integer(arg, 0, 65_535);
      else option.fail(arg, 'unknown indication', Object.keys(INDICATIONS));
    }
    draft.impliedApp = 'dnp3';
    draft.txMatches.push(new IndicationMatch(mask));
    draft.perPacket = true;
  },
});

class ObjectMatch extends TxMatch {
  constructor(
    readonly group: number,
    readonly variation: number,
  ) {
    super();
  }

  override evaluate(tx: Transaction, _dir: number, done: boolean): number {
    if (tx instanceof Dnp3Transaction && tx.hasObject(this.group, this.variation)) return TxOutcome.YES;
    return done ? TxOutcome.NO : TxOutcome.LATER;
  }
}

export const dnp3Obj = keyword({
  name: 'dnp3_obj',
  kind: 'transaction',
  help: 'Group and variation of an object in a DNP3 fragment.',
  usage: ['dnp3_obj:group,variation'],
  value: 'required',
  parse(draft, option) {
    const [group, variation, ...more] = option.split();
    if (group === undefined || variation === undefined || more.length > 0) option.fail(option.whole(), 'not two numbers', ['group,variation']);
    draft.impliedApp = 'dnp3';
    draft.txMatches.push(new ObjectMatch(option.integer(group, 0, 255), option.integer(variation, 0, 255)));
    draft.perPacket = true;
  },
});
