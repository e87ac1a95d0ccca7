import test from 'ava';
import fc from 'fast-check';
import { Priority, ScanQueue, type Refusal, type ScanTask } from '../../../src/file-events/queue/scan-queue.js';

interface Probe extends ScanTask {
  end(): Promise<void>;
  state: 'waiting' | 'running' | 'done' | Refusal;
}

/** A task that runs until `end` is called. */
function probe(vm: number, cost = 1, deadlineMs = Infinity, log: string[] = [], name = ''): Probe {
  let finish: () => void = () => undefined;
  const p: Probe = {
    vm,
    cost,
    deadlineMs,
    state: 'waiting',
    run() {
      p.state = 'running';
      log.push(name);
      return new Promise<void>((go) => {
        finish = go;
      });
    },
    refuse(why) {
      p.state = why;
    },
    async end() {
      p.state = 'done';
      finish();
      for (let i = 0; i < 4; i++) await Promise.resolve();
    },
  };
  return p;
}

const options = { concurrency: 1, background: 1, maxWaiting: 100, maxWaitingPerVm: 50 };

test('on-access goes before what waited longer in lower classes', async (t) => {
  const q = new ScanQueue(options, () => 0);
  const log: string[] = [];
  const first = probe(1, 1, Infinity, log, 'running');
  q.submit(first, Priority.SCHEDULED);
  q.submit(probe(1, 1, Infinity, log, 'scheduled'), Priority.SCHEDULED);
  q.submit(probe(1, 1, Infinity, log, 'demand'), Priority.ON_DEMAND);
  const open = probe(2, 1, Infinity, log, 'open');
  q.submit(open, Priority.ON_ACCESS);
  t.is(q.depth, 3);
  await first.end();
  await open.end();
  t.deepEqual(log, ['running', 'open', 'demand']);
  t.is(q.depthOf(Priority.SCHEDULED), 1);
});

test('a VM with a thousand files waits its turn behind one with a single file', async (t) => {
  const q = new ScanQueue({ ...options, maxWaiting: 5000, maxWaitingPerVm: 5000 }, () => 0);
  const log: string[] = [];
  const blocker = probe(9);
  q.submit(blocker, Priority.ON_ACCESS);
  const tasks: Probe[] = [];
  for (let i = 0; i < 1000; i++) tasks.push(probe(1, 1024 * 1024, Infinity, log, 'greedy'));
  const modest = probe(2, 1024 * 1024, Infinity, log, 'modest');
  for (const p of [...tasks, modest]) q.submit(p, Priority.ON_ACCESS);
  await blocker.end();
  for (let i = 0; i < 3; i++) await [...tasks, modest].find((p) => p.state === 'running')!.end();
  t.true(log.indexOf('modest') >= 0 && log.indexOf('modest') <= 2, log.join());
});

test('bytes count, not files: large files of one VM get no more than small ones of another', async (t) => {
  const q = new ScanQueue({ ...options, maxWaiting: 5000, maxWaitingPerVm: 5000 }, () => 0);
  const blocker = probe(9);
  q.submit(blocker, Priority.ON_ACCESS);
  const large = Array.from({ length: 20 }, () => probe(1, 4 * 1024 * 1024));
  const small = Array.from({ length: 200 }, () => probe(2, 64 * 1024));
  for (const p of [...large, ...small]) q.submit(p, Priority.ON_ACCESS);
  await blocker.end();
  for (;;) {
    const running = [...large, ...small].find((p) => p.state === 'running');
    if (running === undefined || small.every((p) => p.state === 'done')) break;
    await running.end();
  }
  const done = large.filter((p) => p.state === 'done').length;
  t.true(done >= 2 && done <= 5, `${done} of the large ones while 12.8 MB of small ones were scanned`);
});

test('bounds: per queue, per VM, deadline, closing; each is told and counted', async (t) => {
  let now = 0;
  const q = new ScanQueue({ concurrency: 1, background: 1, maxWaiting: 3, maxWaitingPerVm: 2 }, () => now);
  const running = probe(1);
  q.submit(running, Priority.ON_ACCESS);
  const late = probe(1, 1, 50);
  const waits = probe(1);
  const third = probe(1);
  const other = probe(2);
  const over = probe(3);
  for (const p of [late, waits, third, other, over]) q.submit(p, Priority.ON_ACCESS);
  t.is(third.state, 'vm-full');
  t.is(over.state, 'full');
  now = 60;
  await running.end();
  t.is(late.state, 'expired');
  q.close();
  t.is(other.state === 'closed' || waits.state === 'closed', true);
  const after = probe(5);
  q.submit(after, Priority.ON_ACCESS);
  t.is(after.state, 'closed');
  t.is(q.depth, 0);
  t.like(q.counts, { full: 1, 'vm-full': 1, expired: 1, closed: 2 });
});

test('background classes leave room for on-access; a raised task moves up once', async (t) => {
  const q = new ScanQueue({ concurrency: 2, background: 1, maxWaiting: 100, maxWaitingPerVm: 100 }, () => 0);
  const [a, b, c, d] = [probe(1), probe(1), probe(1), probe(2)];
  q.submit(a, Priority.SCHEDULED);
  q.submit(b, Priority.SCHEDULED);
  t.deepEqual([a.state, b.state], ['running', 'waiting']);
  q.submit(c, Priority.ON_ACCESS);
  t.is(c.state, 'running');
  q.submit(d, Priority.SCHEDULED);
  q.raise(d, Priority.ON_ACCESS);
  q.raise(d, Priority.ON_ACCESS);
  t.is(q.counts.raised, 1);
  await c.end();
  t.deepEqual([b.state, d.state], ['waiting', 'running']);
});

test('every task ends in exactly one way, whatever the order of submit, raise, end and close', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.record({ vm: fc.nat(3), cost: fc.nat(3_000_000), priority: fc.constantFrom(...Object.values(Priority)), what: fc.constantFrom('submit', 'raise', 'end') }), { maxLength: 60 }), async (steps) => {
      const q = new ScanQueue({ concurrency: 2, background: 1, maxWaiting: 8, maxWaitingPerVm: 4 }, () => 0);
      const all: Probe[] = [];
      for (const s of steps) {
        if (s.what === 'submit') {
          const p = probe(s.vm, s.cost);
          all.push(p);
          q.submit(p, s.priority);
        } else if (s.what === 'raise') {
          const p = all.find((x) => x.state === 'waiting');
          if (p) q.raise(p, s.priority);
        } else await all.find((x) => x.state === 'running')?.end();
        t.true(all.filter((p) => p.state === 'running').length <= 2);
        t.is(q.depth, all.filter((p) => p.state === 'waiting').length);
        t.is(q.running, all.filter((p) => p.state === 'running').length);
      }
      q.close();
      t.false(all.some((p) => p.state === 'waiting'));
    }),
    { numRuns: 100 },
  );
});
