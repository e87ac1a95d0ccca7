/** QEMU's socket protocols with a peer of our own: `-netdev stream` and `-netdev dgram` as QEMU 7.2 speaks them. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { D_CSUM_OFF, D_CSUM_START, D_GSO_SIZE, D_GSO_TYPE, D_LEN, D_OFF, D_STRIDE, D_VNET_FLAGS, FrameBatch, GSO_TCPV4, TAG_KEEP, T_STATUS, VNET_F_NEEDS_CSUM } from '../../../src/packet/index.js';
import { PortSet, QemuDgramPort, QemuStreamPort, createPort } from '../../../src/vswitch/index.js';
import { MAC_A, MAC_B, tcp, udp } from './harness.js';

const ENOTCONN = 107;
const ENOBUFS = 105;
const ENOENT = 2;

function folder(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'db-qemu-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  return dir;
}

function ports(t: ExecutionContext): { set: PortSet; batch: FrameBatch } {
  const batch = new FrameBatch(8);
  const set = new PortSet(batch);
  t.teardown(() => set.close());
  return { set, batch };
}

function prefixed(frame: Uint8Array): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(frame.length);
  return Buffer.concat([prefix, frame]);
}

/** Received frames until there are `count`, or half a second passed. */
async function receive(set: PortSet, batch: FrameBatch, count: number): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for (let i = 0; i < 100 && frames.length < count; i++) {
    const n = set.poll(0);
    for (let row = 0; row < n; row++) {
      const off = batch.desc[row * D_STRIDE + D_OFF]!;
      frames.push(batch.arena.slice(off, off + batch.desc[row * D_STRIDE + D_LEN]!));
    }
    await sleep(5);
  }
  return frames;
}

/** Send one frame by port `index`. @returns the status of its row */
function send(set: PortSet, batch: FrameBatch, index: number, frame: Uint8Array, offload: Record<number, number> = {}): number {
  batch.reset();
  const row = batch.inject(frame.length, index, 0, 0);
  batch.arena.set(frame, batch.desc[row * D_STRIDE + D_OFF]!);
  for (const [column, value] of Object.entries(offload)) batch.desc[row * D_STRIDE + Number(column)] = value;
  batch.send(row, index, TAG_KEEP);
  set.flush(1);
  return batch.tx[T_STATUS]!;
}

class Peer {
  bytes = Buffer.alloc(0);
  closed = false;
  readonly socket: Socket;
  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data) => (this.bytes = Buffer.concat([this.bytes, data])));
    socket.on('close', () => (this.closed = true));
    socket.on('error', () => (this.closed = true));
  }
  /** Whole frames received so far. */
  async frames(count: number): Promise<Buffer[]> {
    for (let i = 0; i < 100; i++) {
      const list: Buffer[] = [];
      for (let at = 0; at + 4 <= this.bytes.length && at + 4 + this.bytes.readUInt32BE(at) <= this.bytes.length; at += 4 + this.bytes.readUInt32BE(at)) {
        list.push(this.bytes.subarray(at + 4, at + 4 + this.bytes.readUInt32BE(at)));
      }
      if (list.length >= count) return list;
      await sleep(5);
    }
    return [];
  }
}

async function dial(path: string): Promise<Peer> {
  const socket = connect(path);
  const peer = new Peer(socket);
  await new Promise((settle) => socket.once('connect', settle));
  return peer;
}

test('stream, listening: frames both ways, however the stream is cut', async (t) => {
  const path = join(folder(t), 'vm.sock');
  const { set, batch } = ports(t);
  set.add(0, new QemuStreamPort({ path }));
  t.is(set.portError(0), ENOTCONN);
  t.is(send(set, batch, 0, udp(MAC_A, MAC_B)), ENOTCONN, 'nobody is there');
  const peer = await dial(path);
  t.teardown(() => peer.socket.destroy());
  const frames = [udp(MAC_B, MAC_A, { payload: 1 }), udp(MAC_B, MAC_A, { payload: 1400 }), tcp(MAC_B, MAC_A), udp(MAC_B, MAC_A, { payload: 700 })];
  const stream = Buffer.concat(frames.map(prefixed));
  for (let at = 0; at < stream.length; at += 333) {
    peer.socket.write(stream.subarray(at, at + 333));
    await sleep(1);
  }
  t.deepEqual(await receive(set, batch, 4), frames.map((f) => Uint8Array.from(f)));
  t.is(set.portError(0), 0);
  const many = Array.from({ length: 100 }, (_, i) => udp(MAC_B, MAC_A, { sport: i }));
  peer.socket.write(Buffer.concat(many.map(prefixed)));
  t.deepEqual(await receive(set, batch, 100), many, 'more than a batch: what is buffered needs no new event');
  t.is(send(set, batch, 0, frames[1]!), 0);
  t.is(send(set, batch, 0, frames[0]!), 0);
  t.deepEqual((await peer.frames(2)).map((f) => Uint8Array.from(f)), [frames[1], frames[0]]);
});

test('stream: super-frames are segmented, checksums completed', async (t) => {
  const path = join(folder(t), 'vm.sock');
  const { set, batch } = ports(t);
  set.add(0, new QemuStreamPort({ path }));
  const peer = await dial(path);
  t.teardown(() => peer.socket.destroy());
  await receive(set, batch, 1);
  const frame = tcp(MAC_B, MAC_A, { payload: 4000 });
  t.is(send(set, batch, 0, frame, { [D_GSO_TYPE]: GSO_TCPV4, [D_GSO_SIZE]: 1448, [D_VNET_FLAGS]: VNET_F_NEEDS_CSUM, [D_CSUM_START]: 34, [D_CSUM_OFF]: 16 }), 0);
  const sizes = (await peer.frames(3)).map((f) => f.length);
  t.deepEqual(sizes, [1502, 1502, 54 + 4000 - 2 * 1448]);
});

test('stream: a guest may come and go; one peer at a time; nonsense ends the connection', async (t) => {
  const path = join(folder(t), 'vm.sock');
  const { set, batch } = ports(t);
  set.add(0, new QemuStreamPort({ path, mode: '0660' }));
  const first = await dial(path);
  first.socket.write(prefixed(udp(MAC_B, MAC_A)));
  t.is((await receive(set, batch, 1)).length, 1);
  const second = await dial(path);
  t.teardown(() => second.socket.destroy());
  second.socket.write(prefixed(tcp(MAC_B, MAC_A)));
  t.is((await receive(set, batch, 1)).length, 0, 'the second waits');
  first.socket.destroy();
  t.deepEqual(await receive(set, batch, 1), [tcp(MAC_B, MAC_A)], 'and is next');
  second.socket.write(Buffer.from([0, 2, 0, 0, 1, 2, 3]));
  t.is((await receive(set, batch, 1)).length, 0);
  t.true(second.closed);
  t.is(set.portError(0), ENOTCONN);
  const third = await dial(path);
  t.teardown(() => third.socket.destroy());
  third.socket.write(prefixed(udp(MAC_B, MAC_A)));
  t.is((await receive(set, batch, 1)).length, 1);
});

test('stream: a guest that does not read loses frames, and nobody waits for it', async (t) => {
  const path = join(folder(t), 'vm.sock');
  const { set, batch } = ports(t);
  set.add(0, new QemuStreamPort({ path }));
  const peer = await dial(path);
  t.teardown(() => peer.socket.destroy());
  peer.socket.pause();
  await receive(set, batch, 1);
  const frame = udp(MAC_A, MAC_B, { payload: 1400 });
  let sent = 0;
  while (send(set, batch, 0, frame) === 0 && sent < 100_000) sent++;
  t.is(batch.tx[T_STATUS], ENOBUFS);
  t.true(sent > 500, `${sent}`);
  peer.socket.resume();
  for (let i = 0; i < 200 && peer.bytes.length < sent * (frame.length + 4); i++) await receive(set, batch, 1).then(() => undefined);
  t.is((await peer.frames(sent)).length, sent, 'what was taken arrives whole');
  t.is(send(set, batch, 0, frame), 0);
});

test('stream, connecting: looks for its server until it is there, and again when it went', async (t) => {
  const path = join(folder(t), 'vm.sock');
  const { set, batch } = ports(t);
  set.add(0, new QemuStreamPort({ path, side: 'connect' }));
  t.is(set.portError(0), ENOTCONN);
  const listen = async (): Promise<{ server: Server; peer: Promise<Peer> }> => {
    rmSync(path, { force: true });
    let found: (peer: Peer) => void;
    const peer = new Promise<Peer>((settle) => (found = settle));
    const server = createServer((socket) => found(new Peer(socket)));
    await new Promise<void>((settle) => server.listen(path, settle));
    return { server, peer };
  };
  for (let round = 0; round < 2; round++) {
    const { server, peer } = await listen();
    const polling = setInterval(() => set.poll(0), 20);
    const there = await peer;
    clearInterval(polling);
    there.socket.write(prefixed(udp(MAC_B, MAC_A)));
    t.is((await receive(set, batch, 1)).length, 1);
    there.socket.destroy();
    await new Promise((settle) => server.close(settle));
    await receive(set, batch, 1);
    t.is(set.portError(0), ENOTCONN);
  }
});

test('dgram: one frame a datagram; a guest that is not there costs its own frames only', async (t) => {
  const dir = folder(t);
  const { set, batch } = ports(t);
  const [a, b] = [join(dir, 'a'), join(dir, 'b')];
  set.add(0, new QemuDgramPort({ path: a, remote: b }));
  t.is(send(set, batch, 0, udp(MAC_A, MAC_B)), ENOENT);
  set.add(1, new QemuDgramPort({ path: b, remote: a }));
  const frame = udp(MAC_A, MAC_B, { payload: 1400 });
  t.is(send(set, batch, 0, frame), 0);
  t.deepEqual(await receive(set, batch, 1), [frame]);
  t.is(send(set, batch, 1, frame), 0);
  t.deepEqual(await receive(set, batch, 1), [frame]);
});

test('socket files: stale ones are replaced, others are not touched, ours is removed', (t) => {
  const dir = folder(t);
  const path = join(dir, 'vm.sock');
  const { set } = ports(t);
  set.add(0, new QemuStreamPort({ path, mode: '0640' }));
  t.is(execFileSync('stat', ['-c', '%a', path]).toString().trim(), '640');
  t.throws(() => new PortSet(new FrameBatch()).add(0, new QemuStreamPort({ path })), { code: 'EADDRINUSE' });
  set.remove(0);
  t.false(existsSync(path));
  const killed = spawnSync(process.execPath, ['-e', `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`]);
  t.is(killed.signal, 'SIGKILL');
  t.true(existsSync(path), 'a process that was killed leaves its socket behind');
  set.add(0, new QemuStreamPort({ path }));
});

test('socket files: what is no socket stays', (t) => {
  const dir = folder(t);
  const path = join(dir, 'file');
  writeFileSync(path, 'mine');
  const { set } = ports(t);
  t.throws(() => set.add(0, new QemuStreamPort({ path })), { code: 'EADDRINUSE' });
  t.throws(() => set.add(0, new QemuDgramPort({ path: join(dir, 'x'.repeat(120)), remote: path })), { code: 'ENAMETOOLONG' });
  t.true(existsSync(path));
  t.true(createPort({ type: 'qemu-stream', path }) instanceof QemuStreamPort);
});
