import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';

/**
 * Runs in a process of its own, so that neither ava nor another test allocates in between. The loop is warmed up until it
 * is optimised, the heap collected, a million frames decoded, and the growth of the heap divided by them.
 */
const script = `
  const { decodeBatchRow, decodeInner, flowHash, openCapture, FrameBatch, PacketView, setEvent } = await import(process.argv[1]);
  const load = (path) => { const batch = new FrameBatch(64, 0); openCapture(path).fillBatch(batch); return batch; };
  const batches = process.argv.slice(2).map(load);
  const view = new PacketView(), inner = new PacketView();
  let sink = 0, done = 0;
  const run = (frames) => {
    for (done = 0; done < frames; ) for (const batch of batches) {
      // One view per arena keeps its DataView; alternating between buffers is what the pipeline never does per packet.
      for (let loop = 0; loop < 1000; loop++) for (let row = 0; row < batch.rxCount; row++, done++) {
        decodeBatchRow(view, batch, row);
        sink ^= flowHash(view, 1);
        if (decodeInner(view, inner)) sink ^= inner.payloadLen;
      }
    }
  };
  run(300000);
  globalThis.gc();
  const before = process.memoryUsage().heapUsed;
  run(1000000);
  const perFrame = (process.memoryUsage().heapUsed - before) / done;
  console.log(JSON.stringify({ perFrame, done, sink }));
`;

test('decoding allocates nothing', (t) => {
  const library = fileURLToPath(new URL('../../../src/packet/index.js', import.meta.url));
  const files = ['vxlan', 'gre-ppp', 'ipv6-fragments', 'ipopts', 'chdlc'].map((name) => `pcaps/decode/${name}.pcap`);
  const out = execFileSync(process.execPath, ['--expose-gc', '--max-semi-space-size=64', '--input-type=module', '-e', script, library, ...files], { encoding: 'utf8' });
  const { perFrame, done } = JSON.parse(out) as { perFrame: number; done: number };
  t.true(done >= 1_000_000);
  t.true(perFrame < 1, `${perFrame} bytes per frame`);
});
