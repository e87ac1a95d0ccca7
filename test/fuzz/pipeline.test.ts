/** A million mutated frames through the whole pipeline, or as many as a minute takes. DRAWBRIDGE_FUZZ_SEED chooses others. */
import test from 'ava';
import { corpus, fuzz } from './pipeline.js';

const SEED = Number(process.env['DRAWBRIDGE_FUZZ_SEED'] ?? 1);
const FRAMES = 1_000_000;
const DEADLINE_MS = 60_000;
/** Less would mean that something hangs. */
const AT_LEAST = 50_000;
/** Caches of V8 and of the pools; a leak of a hundred bytes a frame would be more. */
const MAX_GROWTH = 100 * 1024 * 1024;

test('mutated frames: no exception, every frame accounted for, memory bounded', (t) => {
  t.timeout(180_000);
  const files = corpus();
  const result = fuzz(files, { seed: SEED, frames: FRAMES, deadlineMs: DEADLINE_MS });
  t.log(`seeds ${SEED} to ${SEED + result.rounds - 1}, ${files.length} captures: ${result.frames} frames, ${result.dropped} dropped, ${result.events} events, memory ${Math.round(result.growth / 2 ** 20)} MiB`);
  t.deepEqual(result.failures, []);
  t.true(result.frames >= AT_LEAST, `only ${result.frames} frames`);
  t.true(result.dropped > 0 && result.dropped < result.frames && result.events > 0, 'mutated traffic reaches the engines');
  t.true(result.growth < MAX_GROWTH, `memory grew by ${Math.round(result.growth / 2 ** 20)} MiB`);
});
