#!/usr/bin/env node
/**
 * Mutated traffic through the whole pipeline for as long as asked; the nightly companion of test/fuzz/pipeline.test.ts.
 * Needs a build (npm run build).
 *
 *   node scripts/fuzz-nightly.mjs [MINUTES] [SEED]     30 minutes; a seed of the clock, which is printed
 */
import { corpus, fuzz } from '../dist/test/fuzz/pipeline.js';

const minutes = Number(process.argv[2] ?? 30);
const first = Number(process.argv[3] ?? Math.floor(Date.now() / 1000) % 2 ** 30);
if (!(minutes > 0) || !Number.isSafeInteger(first)) {
  console.error('usage: fuzz-nightly.mjs [MINUTES] [SEED]');
  process.exit(2);
}
const end = Date.now() + minutes * 60_000;
const files = corpus();
console.log(`fuzz: ${files.length} captures, ${minutes} minutes from seed ${first}`);
let seed = first;
let frames = 0;
let base = 0;
while (Date.now() < end) {
  const result = fuzz(files, { seed, frames: 1_000_000, deadlineMs: Math.min(120_000, end - Date.now()) });
  seed += result.rounds;
  frames += result.frames;
  globalThis.gc?.();
  const rss = Math.round(process.memoryUsage().rss / 2 ** 20);
  base ||= rss;
  console.log(`fuzz: ${frames} frames to seed ${seed - 1}, ${result.dropped} dropped, ${result.events} events, ${rss} MiB resident`);
  for (const failure of result.failures) console.error(`fuzz: ${failure}`);
  if (result.failures.length > 0) process.exit(1);
  if (rss > base + 512) {
    console.error(`fuzz: memory grew from ${base} to ${rss} MiB`);
    process.exit(1);
  }
}
console.log('fuzz: nothing found');
