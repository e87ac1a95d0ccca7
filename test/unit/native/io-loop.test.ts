/**
 * The batch loop without privileges: a FIFO opened for reading and writing stands in for a TAP device. What the loop
 * writes can be read back byte for byte, and what is written into it arrives as a frame.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import * as fc from 'fast-check';
import test, { type ExecutionContext } from 'ava';
import { IoLoop, PORT_PACKET, PORT_TAP, wakeFd } from '@drawbridge/native';
import {
  D_CSUM_OFF, D_CSUM_START, D_GSO_SIZE, D_GSO_TYPE, D_HDR_LEN, D_LEN, D_LINK_TYPE, D_OFF, D_PORT, D_STRIDE, D_TS_SEC,
  D_TS_USEC, D_VNET_FLAGS, D_WIRE_LEN, FrameBatch, GSO_TCPV4, T_STATUS, T_STRIDE, TAG_KEEP, TAG_STRIP,
} from '../../../src/packet/frame-batch.js';
import { buildFrame, expectedSegments, type FrameFields } from './helpers/frames.js';

const EINVAL = 22;
const ENODEV = 19;
const EMSGSIZE = 90;

class Fixture {
  readonly batch: FrameBatch;
  readonly loop: IoLoop;
  readonly #dir = mkdtempSync(path.join(tmpdir(), 'db-native-'));
  readonly #fds: number[] = [];

  constructor(t: ExecutionContext, batchSize = 8) {
    this.batch = new FrameBatch(batchSize);
    this.loop = new IoLoop(this.batch.arena, this.batch.desc, this.batch.tx, batchSize);
    t.teardown(() => {
      this.loop.close();
      for (const fd of this.#fds) closeSync(fd);
      rmSync(this.#dir, { recursive: true });
    });
  }

  /** A FIFO as a port; returns its descriptor. */
  fifo(index: number, vnetHdrLen: number, mtu = 1500): number {
    const file = path.join(this.#dir, `f${index}`);
    const made = spawnSync('mkfifo', [file]);
    if (made.status !== 0) throw new Error(`mkfifo: ${made.stderr.toString()}`);
    const fd = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
    this.#fds.push(fd);
    this.loop.addPort(index, fd, PORT_TAP, vnetHdrLen, mtu);
    return fd;
  }

  /** Puts a frame into the batch as row `row`. */
  put(row: number, bytes: Uint8Array, columns: Record<number, number> = {}): void {
    const off = row * 8192 + 64;
    this.batch.arena.set(bytes, off);
    const d = row * D_STRIDE;
    this.batch.desc.fill(0, d, d + D_STRIDE);
    this.batch.desc[d + D_OFF] = off;
    this.batch.desc[d + D_LEN] = bytes.length;
    for (const [column, value] of Object.entries(columns)) this.batch.desc[d + Number(column)] = value;
  }

  status(row: number): number {
    return this.batch.tx[row * T_STRIDE + T_STATUS];
  }
}

function drain(fd: number): Buffer {
  const buf = Buffer.alloc(200_000);
  try {
    return buf.subarray(0, readSync(fd, buf, 0, buf.length, null));
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'EAGAIN') throw e;
    return Buffer.alloc(0);
  }
}

const bytesOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 37) & 255);
const tcp: FrameFields = {
  ipv6: false, udp: false, tags: [], ipExtra: new Uint8Array(0), tcpOptions: new Uint8Array(0), tcpFlags: 0x10, seq: 9,
  ipId: 4, payload: bytesOf(3000),
};

test('rx fills a descriptor and reads the vnet header outside the frame', (t) => {
  const f = new Fixture(t);
  const fd = f.fifo(3, 10);
  const header = Buffer.alloc(10);
  header.writeUInt8(1, 0);
  header.writeUInt8(GSO_TCPV4, 1);
  header.writeUInt16LE(54, 2);
  header.writeUInt16LE(1448, 4);
  header.writeUInt16LE(34, 6);
  header.writeUInt16LE(16, 8);
  const frame = bytesOf(777);
  writeSync(fd, Buffer.concat([header, frame]));
  const before = Math.floor(Date.now() / 1000);
  t.is(f.loop.rx(1000), 1);
  const d = Array.from(f.batch.desc.subarray(0, D_STRIDE));
  t.is(d[D_PORT], 3);
  t.is(d[D_OFF] % 64, 0);
  t.is(d[D_LEN], 777);
  t.is(d[D_WIRE_LEN], 777);
  t.deepEqual([d[D_VNET_FLAGS], d[D_GSO_TYPE], d[D_HDR_LEN], d[D_GSO_SIZE], d[D_CSUM_START], d[D_CSUM_OFF]], [
    1, GSO_TCPV4, 54, 1448, 34, 16,
  ]);
  t.true(d[D_TS_SEC] >= before && d[D_TS_SEC] <= before + 5);
  t.true(d[D_TS_USEC] >= 0 && d[D_TS_USEC] < 1e6);
  t.is(d[D_LINK_TYPE], 1);
  t.deepEqual(Buffer.from(f.batch.arena.subarray(d[D_OFF], d[D_OFF] + 777)), Buffer.from(frame));
  t.true(f.loop.arenaUsed >= d[D_OFF] + 777 && f.loop.arenaUsed % 64 === 0);
  t.is(f.loop.rx(0), 0);
  t.is(f.loop.arenaUsed, 0);
});

test('flush writes the vnet header, or completes checksums and segments without one', (t) => {
  const f = new Fixture(t);
  const whole = f.fifo(0, 12);
  const plain = f.fifo(1, 0);
  const built = buildFrame(tcp, true);
  f.put(0, built.bytes, {
    [D_VNET_FLAGS]: 1, [D_GSO_TYPE]: GSO_TCPV4, [D_HDR_LEN]: 60000, [D_GSO_SIZE]: 1000, [D_CSUM_START]: built.l4, [D_CSUM_OFF]: 16,
  });
  f.batch.send(0, 0);
  f.batch.send(0, 1);
  f.batch.send(0, 0, 100);
  t.is(f.loop.flush(3), 0);
  t.deepEqual(drain(plain), Buffer.concat(expectedSegments(tcp, 1000)));
  const header = (length: number, start: number): Buffer => {
    const b = Buffer.alloc(12);
    b.set([1, GSO_TCPV4]);
    b.writeUInt16LE(length, 2); // a hint beyond the frame is cut to its length
    b.writeUInt16LE(1000, 4);
    b.writeUInt16LE(start, 6);
    b.writeUInt16LE(16, 8);
    return b;
  };
  const tagged = buildFrame({ ...tcp, tags: [100] }, true).bytes;
  t.deepEqual(drain(whole), Buffer.concat([header(built.bytes.length, built.l4), built.bytes, header(tagged.length, built.l4 + 4), tagged]));
});

test('rows that make no sense get an errno and leave the others alone', (t) => {
  const f = new Fixture(t);
  const fd = f.fifo(0, 0);
  const frame = buildFrame({ ...tcp, payload: bytesOf(10) }, false).bytes;
  f.put(0, frame);
  f.put(1, bytesOf(1600));
  f.put(2, frame, { [D_OFF]: f.batch.arena.length - 10 });
  f.put(3, frame, { [D_LEN]: -5 });
  f.put(4, frame, { [D_OFF]: -1 });
  f.put(5, bytesOf(13));
  f.put(6, frame, { [D_VNET_FLAGS]: 1, [D_CSUM_START]: 65000 });
  const rows: [number, number, number, number][] = [
    [0, 0, TAG_KEEP, 0], [1, 0, TAG_KEEP, EMSGSIZE], [2, 0, TAG_KEEP, EINVAL], [3, 0, TAG_KEEP, EINVAL],
    [4, 0, TAG_KEEP, EINVAL], [5, 0, TAG_KEEP, EINVAL], [6, 0, TAG_KEEP, EINVAL], [0, 9, TAG_KEEP, ENODEV],
    [0, -1, TAG_KEEP, ENODEV], [0, 2 ** 31 - 1, TAG_KEEP, ENODEV], [-1, 0, TAG_KEEP, EINVAL], [1 << 30, 0, TAG_KEEP, EINVAL],
    [0, 0, -2, EINVAL], [0, 0, 4095, EINVAL], [0, 0, 1 << 20, EINVAL], [0, 0, TAG_STRIP, 0], [0, 0, TAG_KEEP, 0],
  ];
  for (const [desc, port, tag] of rows) f.batch.send(desc, port, tag);
  t.is(f.loop.flush(rows.length), rows.filter((r) => r[3] !== 0).length);
  t.deepEqual(rows.map((_, i) => f.status(i)), rows.map((r) => r[3]));
  t.deepEqual(drain(fd), Buffer.concat([frame, frame, frame]));
  t.throws(() => f.loop.flush(f.batch.tx.length / T_STRIDE + 1), { instanceOf: RangeError });
  t.throws(() => f.loop.flush(-1), { instanceOf: RangeError });
});

test('any numbers in the tables: flush reports, and reads nothing outside the arena', (t) => {
  const f = new Fixture(t, 2);
  const fds = [f.fifo(0, 0), f.fifo(1, 10), f.fifo(2, 12)];
  const value = fc.oneof(fc.integer(), fc.integer({ min: -4, max: 200 }), fc.nat(70_000));
  const row = fc.array(value, { minLength: D_STRIDE, maxLength: D_STRIDE });
  const send = fc.tuple(fc.integer({ min: -1, max: 8 }), fc.integer({ min: -1, max: 3 }), fc.oneof(fc.integer({ min: -2, max: 5000 }), fc.integer()));
  const built = buildFrame(tcp, true);
  const plausible = fc.array(fc.record({ column: fc.nat(D_STRIDE - 1), value }), { maxLength: 3 });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 4 }), plausible, fc.array(send, { maxLength: 8 }), (rows, changes, sends) => {
      for (const [i, columns] of rows.entries()) f.batch.desc.set(columns, i * D_STRIDE);
      f.put(4, built.bytes, {
        [D_VNET_FLAGS]: 1, [D_GSO_TYPE]: GSO_TCPV4, [D_GSO_SIZE]: 1000, [D_CSUM_START]: built.l4, [D_CSUM_OFF]: 16,
      });
      for (const c of changes) f.batch.desc[4 * D_STRIDE + c.column] = c.value;
      f.batch.txCount = 0;
      for (const [desc, port, tag] of sends) f.batch.send(desc, port, tag);
      const failed = f.loop.flush(sends.length);
      t.is(failed, sends.filter((_, i) => f.status(i) !== 0).length);
      for (const fd of fds) drain(fd);
    }),
    { numRuns: 1500 },
  );
});

test('a full TAP queue is an errno of the row', (t) => {
  const f = new Fixture(t);
  f.fifo(0, 0);
  f.put(0, bytesOf(1500));
  for (let i = 0; i < 200; i++) f.batch.send(0, 0); // a pipe holds 64 KiB
  const failed = f.loop.flush(200);
  t.true(failed > 100 && failed < 200);
  t.is(f.status(199), 11);
});

test('ports: taken index, unknown index, descriptors that cannot be polled, removal', (t) => {
  const f = new Fixture(t);
  const fd = f.fifo(5, 0);
  const other = f.fifo(6, 0);
  t.throws(() => f.loop.addPort(5, other, PORT_TAP, 0, 1500), { code: 'EEXIST' });
  t.throws(() => f.loop.addPort(7, 1 << 29, PORT_TAP, 0, 1500), { code: 'EBADF' });
  t.throws(() => f.loop.addPort(7, fd, PORT_TAP, 11, 1500), { instanceOf: RangeError });
  t.throws(() => f.loop.addPort(70_000, fd, PORT_TAP, 0, 1500), { instanceOf: RangeError });
  t.throws(() => f.loop.removePort(9), { instanceOf: RangeError });
  t.throws(() => f.loop.portError(9), { instanceOf: RangeError });
  writeSync(fd, bytesOf(60));
  f.loop.removePort(5);
  t.is(f.loop.rx(0), 0);
  f.loop.addPort(5, fd, PORT_PACKET, 0, 1500);
  t.is(f.loop.rx(0), 0, 'a FIFO is no socket');
  t.is(f.loop.portError(5), 88, 'ENOTSOCK');
  t.is(f.loop.portError(6), 0);
  t.is(f.loop.rx(1), 0, 'and a failing port does not make the loop spin');
});

test('close ends the loop; a stale wake descriptor is not written to', (t) => {
  const f = new Fixture(t);
  const fd = f.loop.wakeFd;
  t.true(wakeFd(fd));
  t.is(f.loop.rx(-1), 0, 'woken before blocking');
  f.loop.close();
  f.loop.close();
  t.false(wakeFd(fd));
  t.false(wakeFd(-1));
  t.false(wakeFd(0));
  t.is(f.loop.wakeFd, -1);
  t.throws(() => f.loop.rx(0), { message: /closed/ });
  t.throws(() => f.loop.flush(0), { message: /closed/ });
});

test('a wake from another thread ends a blocked rx; the addon loads and unloads in workers', async (t) => {
  const source = `
    const { parentPort } = require('node:worker_threads');
    const { IoLoop, HsDatabase, Pcre } = require('@drawbridge/native');
    const db = HsDatabase.compile([{ id: 1, expression: 'x', flags: 0 }]);
    const regex = new Pcre('(a)', 0);
    const loop = new IoLoop(new Uint8Array(1 << 18), new Int32Array(64), new Int32Array(64), 2);
    parentPort.postMessage(loop.wakeFd);
    const frames = loop.rx(-1);
    parentPort.postMessage([frames, db.scan(Buffer.from('x'), 0, 1, new Uint32Array(1)), regex.groups]);`;
  for (let i = 0; i < 3; i++) {
    const worker = new Worker(source, { eval: true });
    const next = (): Promise<unknown> => new Promise((done, fail) => worker.once('message', done).once('error', fail));
    const fd = (await next()) as number;
    const answer = next();
    t.true(wakeFd(fd));
    t.deepEqual(await answer, [0, 1, 1]);
    await worker.terminate();
    t.false(wakeFd(fd), 'the loop of an ended thread is closed');
  }
});

test('the tables live as long as the loop, whatever JavaScript forgets', (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const dir = mkdtempSync(path.join(tmpdir(), 'db-native-gc-'));
  const file = path.join(dir, 'f');
  spawnSync('mkfifo', [file]);
  const fd = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
  t.teardown(() => {
    closeSync(fd);
    rmSync(dir, { recursive: true });
  });
  const make = (): IoLoop => new IoLoop(new Uint8Array(1 << 18), new Int32Array(64), new Int32Array(64), 2);
  const loop = make();
  loop.addPort(0, fd, PORT_TAP, 0, 1500);
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 50; i++) make();
  for (let i = 0; i < 10; i++) {
    collect();
    writeSync(fd, bytesOf(1000));
    t.is(loop.rx(0), 1);
    const garbage = Array.from({ length: 20 }, () => new Uint8Array(1 << 18).fill(1));
    t.is(garbage.length, 20);
  }
  collect();
  t.true(process.memoryUsage().arrayBuffers - before < 100 << 18, 'forgotten loops let go of theirs');
  loop.close();
});
