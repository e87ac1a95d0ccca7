/** The half-open records are the SYN cache: a flood turns them over among themselves, and handshakes that go on get through. */
import test from 'ava';
import { ConnTrack, FlowTable } from '../../../src/flow/index.js';
import { CtState } from '../../../src/pipeline/index.js';
import { fmix32 } from '../../../src/util/index.js';
import { tcp } from './helper.js';

const CAPACITY = 4096;
/** Forged SYNs between two packets of an honest handshake: the table turned over a fifth. */
const BETWEEN = 800;

test('a SYN flood through an uplink evicts neither connections nor handshakes in progress', (t) => {
  const table = new FlowTable({ capacity: CAPACITY, seed: 7 });
  const ct = new ConnTrack(table);
  let forged = 0;
  const flood = (n: number, at: number): void => {
    for (let i = 0; i < n; i++) {
      const view = tcp({ flags: 'S', seq: forged, srcPort: 1024 + (forged % 60_000), at, ingress: 1 });
      view.src0 = fmix32(forged++);
      if (ct.lookup(view) === CtState.NEW) ct.commit(view);
    }
  };
  const opened: number[] = [];
  for (let port = 0; port < 100; port++) {
    const id = 20_000 + port;
    t.is(ct.lookup(tcp({ flags: 'S', seq: 1, srcPort: id, ingress: 1 })), CtState.NEW);
    const syn = tcp({ flags: 'S', seq: 1, srcPort: id, ingress: 1 });
    ct.lookup(syn);
    ct.commit(syn);
    ct.lookup(tcp({ dir: 1, flags: 'SA', seq: 9, ack: 2, dstPort: id }));
    ct.lookup(tcp({ flags: 'A', seq: 2, ack: 10, srcPort: id, ingress: 1 }));
    opened.push(id);
  }
  flood(CAPACITY * 4, 1001);
  t.is(table.active, CAPACITY, 'full');
  let completed = 0;
  for (let k = 0; k < 50; k++) {
    const at = 1002 + k;
    const id = 30_000 + k;
    const syn = tcp({ flags: 'S', seq: 1, srcPort: id, at, ingress: 1 });
    ct.lookup(syn);
    t.true(ct.commit(syn) >= 0, 'room is made');
    flood(BETWEEN, at);
    if (ct.lookup(tcp({ dir: 1, flags: 'SA', seq: 9, ack: 2, dstPort: id, at })) !== CtState.ESTABLISHED) continue;
    flood(BETWEEN, at);
    if (ct.lookup(tcp({ flags: 'A', seq: 2, ack: 10, srcPort: id, at, ingress: 1 })) === CtState.ESTABLISHED) completed++;
  }
  t.is(completed, 50, 'every handshake that goes on completes');
  for (const id of opened) t.is(ct.lookup(tcp({ flags: 'A', seq: 2, ack: 10, srcPort: id, at: 1060, ingress: 1 })), CtState.ESTABLISHED);
  t.true(table.evicted > CAPACITY * 3);
  t.is(table.refused, 0);
});
