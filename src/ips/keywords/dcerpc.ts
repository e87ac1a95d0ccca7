/** Keywords of DCE/RPC; they hold for SMB pipes as well. */
import { DceTransaction, type Transaction } from '../../protocols/index.js';
import { keyword } from '../keyword.js';
import { TxMatch, TxOutcome } from '../match/match.js';
import { parseNumberTest, trimArg, type NumberTest } from '../option.js';

class InterfaceMatch extends TxMatch {
  constructor(
    readonly uuid: string,
    readonly version: NumberTest | null,
  ) {
    super();
  }

  override evaluate(tx: Transaction, _dir: number, done: boolean): number {
    const iface = tx instanceof DceTransaction ? (tx.call?.iface ?? null) : null;
    if (iface === null) return done ? TxOutcome.NO : TxOutcome.LATER;
    return iface.accepted && iface.uuid === this.uuid && (this.version === null || this.version.matches(iface.version)) ? TxOutcome.YES : TxOutcome.NO;
  }
}

export const dcerpcIface = keyword({
  name: 'dcerpc.iface',
  aliases: ['dce_iface'],
  kind: 'transaction',
  help: 'Interface that a DCE/RPC call is made to, as the server accepted it, and its version.',
  usage: ['dcerpc.iface:uuid', 'dcerpc.iface:uuid,>1', 'dcerpc.iface:uuid,=1,any_frag'],
  value: 'required',
  parse(draft, option) {
    const [uuid, ...rest] = option.split();
    if (uuid === undefined || !/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(uuid.text)) option.fail(uuid ?? option.whole(), 'not a UUID', ['xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx']);
    let version: NumberTest | null = null;
    for (const arg of rest) if (arg.text !== 'any_frag') version = parseNumberTest(option, arg, 0, 65_535);
    draft.impliedApp = 'dcerpc';
    draft.txMatches.push(new InterfaceMatch(uuid.text.toLowerCase(), version));
    draft.perPacket = true;
  },
});

class OpnumMatch extends TxMatch {
  constructor(readonly ranges: readonly (readonly [number, number])[]) {
    super();
  }

  override evaluate(tx: Transaction, dir: number, done: boolean): number {
    const opnum = tx.integer('dcerpc.opnum', dir);
    if (opnum < 0) return done ? TxOutcome.NO : TxOutcome.LATER;
    return this.ranges.some(([low, high]) => opnum >= low && opnum <= high) ? TxOutcome.YES : TxOutcome.NO;
  }
}

export const dcerpcOpnum = keyword({
  name: 'dcerpc.opnum',
  aliases: ['dce_opnum'],
  kind: 'transaction',
  help: 'Number of the operation that a DCE/RPC call asks for.',
  usage: ['dcerpc.opnum:15', 'dcerpc.opnum:15-18', 'dcerpc.opnum:15,17,20-22'],
  value: 'required',
  parse(draft, option) {
    const ranges = option.split().map((arg) => {
      const [low, high] = arg.text.split('-');
      const from = option.integer(trimArg({ text: low ?? '', at: arg.at }), 0, 65_535);
      return [from, high === undefined ? from : option.integer(trimArg({ text: high, at: arg.at + low!.length + 1 }), from, 65_535)] as const;
    });
    if (ranges.length === 0) option.fail(option.whole(), 'a number is missing', ['n', 'n-m', 'n,m']);
    draft.impliedApp = 'dcerpc';
    draft.txMatches.push(new OpnumMatch(ranges));
    draft.perPacket = true;
  },
});
