/** Exception policies: words, defaults, and what each action does to packet and flow. */
import test from 'ava';
import { applyException, EXCEPTION_POINTS, EXCEPTION_WORDS, ExceptionAction, exceptionsOf, PACKET_POINTS } from '../../../src/appliance/exceptions.js';
import { FlowTable, S_BYPASS, S_DROPPED } from '../../../src/flow/index.js';
import { PacketView } from '../../../src/packet/index.js';
import { DropReason, isDrop, Verdict } from '../../../src/pipeline/index.js';

test('points without a word of their own take the default', (t) => {
  t.deepEqual(new Set(Object.values(exceptionsOf({}))), new Set([ExceptionAction.AUTO]));
  const e = exceptionsOf({ default: 'drop-flow', midstream: 'ignore' });
  t.is(e.midstream, ExceptionAction.IGNORE);
  t.is(e.stream_memcap, ExceptionAction.DROP_FLOW);
  for (const point of PACKET_POINTS) t.is(e[point as keyof typeof EXCEPTION_POINTS], ExceptionAction.DROP_PACKET, 'there is no flow to drop');
  for (const word of EXCEPTION_WORDS) t.true(exceptionsOf({ stream_memcap: word }).stream_memcap >= 0, word);
});

/** [action, verdict with a flow, without one, flag of the flow] */
const ACTS: readonly (readonly [ExceptionAction, number, number, number])[] = [
  [ExceptionAction.IGNORE, Verdict.NONE, Verdict.NONE, 0],
  [ExceptionAction.PASS_PACKET, Verdict.PASS, Verdict.PASS, 0],
  [ExceptionAction.PASS_FLOW, Verdict.BYPASS, Verdict.BYPASS, S_BYPASS],
  [ExceptionAction.DROP_PACKET, Verdict.DROP, Verdict.DROP, 0],
  [ExceptionAction.DROP_FLOW, Verdict.DROP_FLOW, Verdict.DROP_FLOW, S_DROPPED],
  [ExceptionAction.REJECT, Verdict.REJECT_FLOW, Verdict.REJECT, S_DROPPED],
];

for (const [action, withFlow, without, flag] of ACTS) {
  test(`action ${action}`, (t) => {
    for (const as of [action, ExceptionAction.AUTO]) {
      const table = new FlowTable({ capacity: 16, seed: 1 });
      const view = new PacketView();
      view.ipVersion = 4;
      view.proto = 17;
      table.find(view);
      view.flowId = table.insert(view, 10);
      view.reason = DropReason.stream_memcap;
      const verdict = applyException(table, view, as, action);
      t.is(verdict, withFlow);
      t.is(table.hasFlags(view.flowId, S_BYPASS | S_DROPPED), flag !== 0);
      t.is(flag === 0 || table.hasFlags(view.flowId, flag), true);
      t.is(view.reason, isDrop(verdict) ? DropReason.stream_memcap : 0);
      view.flowId = -1;
      view.reason = DropReason.flow_table_full;
      t.is(applyException(table, view, as, action), without);
    }
  });
}
