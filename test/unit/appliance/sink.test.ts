/** Event sinks: order, rotation, and what is shed when the reader is slow. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { FileSink, RingSink } from '../../../src/appliance/events/sink.js';
import { SpscRing } from '../../../src/util/index.js';

function drain(ring: SpscRing): string[] {
  const target = new Uint8Array(4096);
  const lines: string[] = [];
  for (let n = ring.pop(target, 0); n >= 0; n = ring.pop(target, 0)) lines.push(Buffer.from(target.slice(0, n)).toString());
  return lines;
}

test('ring: a full one sheds ordinary events and counts them, those of blocks wait', (t) => {
  const ring = new SpscRing(1024);
  const sink = new RingSink(ring, () => t.fail('nothing has to wait yet'));
  for (let i = 0; i < 50; i++) sink.write(`ordinary ${i} ${'x'.repeat(40)}`, false);
  const shed = sink.lost;
  t.true(shed > 0 && shed < 50);
  for (let i = 0; i < 20; i++) sink.write(`block ${i} ${'y'.repeat(40)}`, true);
  t.is(sink.lost, shed, 'no block is shed');
  sink.write('ordinary behind the blocks', false);
  t.is(sink.lost, shed + 1, 'nothing overtakes them');
  const lines: string[] = [];
  for (let i = 0; i < 10; i++) {
    lines.push(...drain(ring));
    sink.flush();
  }
  t.is(lines.filter((l) => l.startsWith('ordinary')).length, 50 - shed);
  t.deepEqual(lines.filter((l) => l.startsWith('block')).map((l) => l.split(' ')[1]), Array.from({ length: 20 }, (_, i) => String(i)));
});

test('ring: when too many blocks wait the producer waits for the reader', (t) => {
  const ring = new SpscRing(256);
  const lines: string[] = [];
  let waits = 0;
  const sink = new RingSink(
    ring,
    () => {
      waits++;
      lines.push(...drain(ring));
    },
    4,
  );
  for (let i = 0; i < 100; i++) sink.write(`block ${i} ${'z'.repeat(30)}`, true);
  sink.close();
  lines.push(...drain(ring));
  t.true(waits > 0);
  t.is(sink.lost, 0);
  t.deepEqual(lines.map((l) => Number(l.split(' ')[1])), Array.from({ length: 100 }, (_, i) => i));
});

test('ring: an event larger than the ring does not stop the rest', (t) => {
  const ring = new SpscRing(256);
  let waits = 0;
  const sink = new RingSink(ring, () => void waits++, 4);
  sink.write('w'.repeat(1000), false);
  t.is(sink.lost, 1);
  sink.write('small', false);
  t.deepEqual(drain(ring), ['small']);
  t.is(waits, 0);
});

test('file: lines in order, UTF-8, rotated by size, the oldest removed', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'drawbridge-sink-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'new/eve.json');
  const sink = new FileSink(file, { append: false, maxBytes: 100, keep: 2 });
  for (let i = 0; i < 5; i++) {
    sink.write(`${i} ä ${'x'.repeat(100)}`, false);
    sink.flush();
  }
  sink.close();
  t.is(sink.failed, 0);
  t.is(readFileSync(`${file}.1`, 'utf8'), `4 ä ${'x'.repeat(100)}\n`);
  t.true(readFileSync(`${file}.2`, 'utf8').startsWith('3'));
  t.false(existsSync(`${file}.3`));
  t.is(readFileSync(file, 'utf8'), '');
  const more = new FileSink(file, { append: true });
  more.write('later', true);
  more.close();
  t.is(readFileSync(file, 'utf8'), 'later\n');
});

test('file: a disk that refuses is counted, not thrown', (t) => {
  const sink = new FileSink('/dev/full', { append: true });
  sink.write('one', false);
  sink.write('two', false);
  sink.flush();
  t.is(sink.failed, 2);
  t.regex(sink.lastError, /ENOSPC/);
  sink.close();
  t.throws(() => new FileSink('/dev/null/sub/eve.json', { append: false }), { code: 'ENOTDIR' });
});
