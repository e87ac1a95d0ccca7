/** What the tracker remembers of a SYN until it is answered: its timestamps, how many SYNs there were, its data. */
import test from 'ava';
import { ConnTrack, FlowState, FlowTable, STREAM_EVENTS } from '../../../src/flow/index.js';
import { CtState } from '../../../src/pipeline/index.js';
import { TCP_OPT_TIMESTAMP } from '../../../src/packet/index.js';
import { tcp, type Segment } from './helper.js';

const C = 1000;
const S = 5000;

function rig(strict = false): { send: (segment: Segment, stamp?: readonly [number, number]) => string; state: () => number } {
  const table = new FlowTable({ capacity: 8, seed: 1 });
  const ct = new ConnTrack(table, { strict });
  let id = -1;
  return {
    send: (segment, stamp) => {
      const view = tcp(segment);
      if (stamp !== undefined) {
        view.tcpOptions |= TCP_OPT_TIMESTAMP;
        [view.tsVal, view.tsEcr] = stamp;
      }
      const state = ct.lookup(view);
      if (state === CtState.NEW) ct.commit(view);
      if (view.flowId >= 0) id = view.flowId;
      const events = [...ct.events.ids.subarray(0, ct.events.count)].map((event) => STREAM_EVENTS[event]);
      return state === CtState.INVALID ? 'invalid' : events.join();
    },
    state: () => table.state(id),
  };
}

test('an answer has to echo a timestamp that was sent; the first of repeated SYNs will do', (t) => {
  const r = rig();
  r.send({ flags: 'S', seq: C }, [100, 0]);
  r.send({ flags: 'S', seq: C }, [1100, 0]);
  t.is(r.send({ dir: 1, flags: 'RA', seq: 0, ack: C + 1 }, [7, 50]), 'pkt_invalid_timestamp');
  t.is(r.send({ dir: 1, flags: 'SA', seq: S, ack: C + 1 }, [7, 1101]), 'pkt_invalid_timestamp');
  t.is(r.state(), FlowState.SYN_SENT);
  t.is(r.send({ flags: 'R', seq: C + 1 }), '', 'the client refuses the stray answer');
  t.is(r.state(), FlowState.SYN_SENT);
  t.is(r.send({ dir: 1, flags: 'SA', seq: S, ack: C + 1 }, [7, 100]), '');
  t.is(r.state(), FlowState.SYN_RECV);
});

test('timestamps that were never sent; strict refuses them', (t) => {
  const plain = rig();
  plain.send({ flags: 'S', seq: C });
  t.is(plain.send({ dir: 1, flags: 'SA', seq: S, ack: C + 1 }, [7, 0]), '');
  const strict = rig(true);
  strict.send({ flags: 'S', seq: C });
  t.is(strict.send({ dir: 1, flags: 'SA', seq: S, ack: C + 1 }, [7, 9]), 'invalid');
});

test('more than ten different SYNs behind the first are a flood; repetitions are none', (t) => {
  const r = rig();
  r.send({ flags: 'S', seq: C });
  for (let i = 0; i < 20; i++) t.is(r.send({ flags: 'S', seq: C }), '');
  for (let i = 1; i <= 10; i++) t.is(r.send({ flags: 'S', seq: C + i }), '');
  t.is(r.send({ flags: 'S', seq: C + 11 }), '3whs_syn_flood');
});

test('an answer that leaves the data of a fast open out', (t) => {
  const r = rig();
  r.send({ flags: 'S', seq: C, data: 10 });
  t.is(r.send({ dir: 1, flags: 'SA', seq: S, ack: C + 1 }), '3whs_synack_tfo_data_ignored');
  const taken = rig();
  taken.send({ flags: 'S', seq: C, data: 10 });
  t.is(taken.send({ dir: 1, flags: 'SA', seq: S, ack: C + 11 }), '');
});
