import { chmodSync, closeSync, existsSync, fstatSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import test from 'ava';
import * as native from '@drawbridge/native';

function folder(t: { teardown(f: () => void): void }): string {
  const path = mkdtempSync(join(tmpdir(), 'drawbridge-socket-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function until<T>(get: () => T | null): Promise<T> {
  for (let i = 0; i < 500; i++) {
    const value = get();
    if (value !== null) return value;
    await new Promise((settle) => setTimeout(settle, 4));
  }
  throw new Error('nothing came');
}

const room = new Int32Array(17);

test('a UNIX socket: peer credentials, bytes both ways, end of stream', async (t) => {
  const path = join(folder(t), 's');
  const listener = native.listenUnix(path, 0o600);
  t.is(statSync(path).mode & 0o777, 0o600);
  t.is(native.acceptSocket(listener), null);
  const client: Socket = connect(path);
  const peer = await until(() => native.acceptSocket(listener));
  t.like(peer, { pid: process.pid, uid: process.getuid!(), cid: -1 });
  const buf = new Uint8Array(64);
  t.is(native.receiveSocket(peer.fd, buf, 0, 64, room), -11);
  client.write('hello');
  const n = await until(() => {
    const got = native.receiveSocket(peer.fd, buf, 3, 61, room);
    return got < 0 ? null : got;
  });
  t.is(Buffer.from(buf).toString('latin1', 3, 3 + n), 'hello');
  t.is(room[0], 0);
  t.is(native.sendSocket(peer.fd, Buffer.from('back'), 1, 3), 3);
  const [chunk] = (await once(client, 'data')) as [Buffer];
  t.is(chunk.toString(), 'ack');
  client.end();
  t.is(await until(() => (native.receiveSocket(peer.fd, buf, 0, 64, room) === 0 ? 0 : null)), 0);
  native.closeFd(peer.fd);
  native.closeFd(listener);
});

test('an abandoned socket file is replaced, a used one and other files are not', (t) => {
  const path = join(folder(t), 's');
  const first = native.listenUnix(path, 0o600);
  t.throws(() => native.listenUnix(path, 0o600), { code: 'EADDRINUSE' });
  native.closeFd(first);
  t.true(existsSync(path));
  native.closeFd(native.listenUnix(path, 0o660));
  t.is(statSync(path).mode & 0o777, 0o660);
  rmSync(path);
  writeFileSync(path, 'mine');
  t.throws(() => native.listenUnix(path, 0o600), { code: 'EADDRINUSE' });
  t.throws(() => native.listenUnix('x'.repeat(108), 0o600), { instanceOf: RangeError });
  t.throws(() => native.listenUnix(path, 0o1000), { instanceOf: RangeError });
});

test('the poller tells who is ready, and closes for good', async (t) => {
  const path = join(folder(t), 's');
  const listener = native.listenUnix(path, 0o600);
  const out = new Int32Array(8);
  let told = 0;
  const ready = await new Promise<number>((settle) => {
    const poller = new native.Poller(() => {
      told++;
      const n = poller.ready(out);
      poller.close();
      poller.close();
      settle(n);
    });
    poller.add(listener, native.POLL_IN);
    t.throws(() => poller.add(listener, native.POLL_IN), { code: 'EEXIST' });
    connect(path).on('error', () => undefined);
  });
  t.is(ready, 1);
  t.is(out[0], listener);
  t.true((out[1]! & native.POLL_IN) !== 0);
  await new Promise((settle) => setTimeout(settle, 30));
  t.is(told, 1);
  const closed = new native.Poller(() => undefined);
  closed.close();
  t.throws(() => closed.ready(out), { instanceOf: Error });
  t.throws(() => new (native.Poller as unknown as new (x: unknown) => unknown)(7), { instanceOf: TypeError });
  native.closeFd(listener);
});

test('an exception in the ready callback is the process\'s uncaught exception, not a crash', async (t) => {
  const path = join(folder(t), 's');
  const listener = native.listenUnix(path, 0o600);
  const seen = new Promise<Error>((settle) => {
    const handlers = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => {
      for (const handler of handlers) process.on('uncaughtException', handler);
      settle(error);
    });
  });
  const poller = new native.Poller(() => {
    poller.close();
    throw new Error('from the callback');
  });
  poller.add(listener, native.POLL_IN);
  connect(path).on('error', () => undefined);
  t.is((await seen).message, 'from the callback');
  native.closeFd(listener);
});

test('readCached reads at a position, up to the end', (t) => {
  const file = join(folder(t), 'f');
  writeFileSync(file, '0123456789');
  const fd = openSync(file, 'r');
  const buf = new Uint8Array(16);
  const n = native.readCached(fd, buf, 2, 14, 4);
  // Some filesystems cannot tell what is cached; the caller then reads the ordinary way.
  if (n < 0) t.true(n === -11 || n === -95);
  else t.is(Buffer.from(buf).toString('latin1', 2, 2 + n), '456789');
  t.is(fstatSync(fd).size, 10);
  closeSync(fd);
  t.true(native.readCached(2 ** 30, buf, 0, 16, 0) === -9);
  chmodSync(file, 0o600);
  t.throws(() => native.readCached(0, buf, 0, 17, 0), { instanceOf: RangeError });
});
