import { readdirSync } from 'node:fs';
import test from 'ava';
import * as fc from 'fast-check';
import { ConnTrack, Defragmenter, DefragResult, EndCause, FlowPool, FlowTable, StreamEngine, vlanZone } from '../../../src/flow/index.js';
import { D_LEN, D_OFF, D_STRIDE, decodeBatchRow, FrameBatch, openCapture, PacketView } from '../../../src/packet/index.js';
import { CtState } from '../../../src/pipeline/index.js';

const FILES = readdirSync('pcaps/decode')
  .filter((name) => name.endsWith('.pcap'))
  .map((name) => `pcaps/decode/${name}`);

/** The room as the data plane uses it. */
class Chain {
  readonly table = new FlowTable({ capacity: 256, seed: 1 });
  readonly ct: ConnTrack;
  readonly pool = new FlowPool(this.table, 64);
  readonly engine: StreamEngine;
  readonly defrag: Defragmenter;
  readonly counts = [0, 0, 0, 0, 0];
  delivered = 0;
  readonly #whole = new PacketView();

  constructor(strict: boolean) {
    this.ct = new ConnTrack(this.table, { strict, midstream: 'loose' });
    this.defrag = new Defragmenter({ inline: strict, maxDatagrams: 32, memcap: 1 << 20 });
    this.engine = new StreamEngine(
      this.table,
      this.ct.events,
      {
        data: (_view, flow, dir) => {
          const half = flow.half(dir);
          if (half.base + half.len !== half.end || half.len > half.buf.length || half.inspected < half.base) throw new Error('broken half');
          this.delivered += half.end - half.inspected;
          half.inspected = half.end;
          half.parsed = half.end;
        },
        gap: () => undefined,
        end: () => undefined,
      },
      { inline: strict, midstream: true, memcap: 1 << 20 },
    );
    this.pool.onRelease((flow) => this.engine.release(flow));
  }

  packet(view: PacketView): void {
    if (view.malformed !== 0) return;
    if (view.fragment) {
      if (this.defrag.add(view, this.#whole, vlanZone(view)) === DefragResult.COMPLETE) this.packet(this.#whole);
      return;
    }
    const state = this.ct.lookup(view, vlanZone(view));
    this.counts[state]!++;
    if (state === CtState.NEW) this.ct.commit(view);
    if (view.flowId < 0 || view.proto !== 6 || state === CtState.INVALID) return;
    const flow = this.pool.attach(view);
    if (flow !== null) this.engine.segment(view, flow);
  }

  finish(now: number): void {
    this.table.removeAll(EndCause.SHUTDOWN);
    this.defrag.expire(now + 10_000, 1000);
  }
}

function load(path: string): FrameBatch {
  const batch = new FrameBatch(64, 0);
  openCapture(path).fillBatch(batch);
  return batch;
}

const batches = FILES.map(load);

test('passive: every TCP, UDP and ICMP packet of the captures has a flow; memory comes back', (t) => {
  t.true(FILES.length > 5);
  const chain = new Chain(false);
  const view = new PacketView();
  for (const batch of batches) {
    for (let row = 0; row < batch.rxCount; row++) {
      decodeBatchRow(view, batch, row);
      chain.packet(view);
      const tracked = view.malformed === 0 && !view.fragment && view.l4Off >= 0 && [1, 6, 17, 58].includes(view.proto);
      if (tracked) t.true(view.flowId >= 0);
      t.not(view.ctState, CtState.INVALID);
    }
  }
  chain.finish(view.tsSec);
  t.is(chain.table.active, 0);
  t.is(chain.pool.active, 0);
  t.is(chain.engine.pool.inUse, 0);
});

for (const strict of [true, false]) {
  test(`mutated frames, ${strict ? 'inline' : 'passive'}: nothing throws, nothing leaks, tables stay bounded`, (t) => {
    const view = new PacketView();
    const mutation = fc.record({ file: fc.nat(batches.length - 1), row: fc.nat(63), at: fc.nat(120), value: fc.nat(255), again: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(mutation, { maxLength: 120 }), (list) => {
        const chain = new Chain(strict);
        for (const m of list) {
          const batch = batches[m.file]!;
          const row = m.row % batch.rxCount;
          const at = batch.desc[row * D_STRIDE + D_OFF]! + (m.at % Math.max(1, batch.desc[row * D_STRIDE + D_LEN]!));
          const kept = batch.arena[at]!;
          for (let i = 0; i <= m.again; i++) {
            decodeBatchRow(view, batch, row);
            chain.packet(view);
            batch.arena[at] = m.value;
          }
          batch.arena[at] = kept;
        }
        t.true(chain.table.active <= 256 && chain.defrag.active <= 32 && chain.pool.active <= 64);
        chain.finish(2_000_000_000);
        t.is(chain.engine.pool.inUse, 0);
        t.is(chain.table.active, 0);
      }),
      { numRuns: 150 },
    );
  });
}
