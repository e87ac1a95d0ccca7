/**
 * Which reader feeds replay: the npm package `pcap-parser` or our own. Reads the same classic pcap files with both and
 * prints frames and megabytes per second, best of three. Figures in docs/decisions/0002-pcap-source.md come from here.
 *
 *   node dist/bench/pcap-source.js FILE.pcap ...
 */
import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';
import { FrameBatch, openCapture } from '../src/packet/index.js';

interface Parser {
  on(event: 'packet' | 'end', listener: () => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
}
const pcapParser = createRequire(import.meta.url)('pcap-parser') as { parse(path: string): Parser };

function withPackage(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let frames = 0;
    const parser = pcapParser.parse(path);
    parser.on('packet', () => frames++);
    parser.on('end', () => resolve(frames));
    parser.on('error', reject);
  });
}

const batch = new FrameBatch(64, 0);
function withOurs(path: string): number {
  const source = openCapture(path);
  while (source.fillBatch(batch) > 0);
  if (source.error !== null) throw source.error;
  return source.frames;
}

async function measure(name: string, path: string, read: (path: string) => number | Promise<number>): Promise<void> {
  let best = Infinity;
  let frames = 0;
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    frames = await read(path);
    best = Math.min(best, performance.now() - start);
  }
  const seconds = best / 1000;
  const rss = Math.round(process.memoryUsage.rss() / 2 ** 20);
  console.log(`${name.padEnd(12)} ${path}: ${frames} frames, ${(frames / seconds / 1e6).toFixed(2)} M frames/s, ${(statSync(path).size / seconds / 1e6).toFixed(0)} MB/s, process ${rss} MiB`);
}

for (const path of process.argv.slice(2)) {
  await measure('ours', path, withOurs);
  await measure('pcap-parser', path, withPackage);
}
