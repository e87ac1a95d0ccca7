import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  DriverError, DriverServer, FileVerdict, MessageType, Refusal, type ApplianceMessage, type Disposition, type DriverPolicy, type DriverSession, type FileChange,
  type FileEvent, type FileEventHandler, type VmAccess,
} from '../../../src/file-events/index.js';
import { SimDriver } from '../../helpers/sim-driver.js';

const T = MessageType;
const ALLOW: Disposition = { verdict: FileVerdict.ALLOW, remember: true, reason: 'clean' };
const DENY: Disposition = { verdict: FileVerdict.DENY, remember: false, reason: 'test' };
type Sent<N extends number> = Extract<ApplianceMessage, { type: N }>;

const policy: DriverPolicy = {
  heartbeatMs: 1000, maxOutstanding: 16, passDescriptors: false, kernelCache: true,
  mounts: [{ path: '/', scope: 2, events: 3, failure: 1, timeoutMs: 2000, maxSize: 0 }], filters: [],
};

class Recorder implements FileEventHandler {
  readonly log: string[] = [];
  readonly changes: FileChange[] = [];
  session: DriverSession | null = null;
  verdict: (event: FileEvent) => Disposition | Promise<Disposition> = () => ALLOW;

  connected(session: DriverSession): void {
    this.session = session;
    this.log.push(`+${session.vm}`);
  }

  disconnected(session: DriverSession): void {
    this.log.push(`-${session.vm}`);
  }

  judge(event: FileEvent): Disposition | Promise<Disposition> {
    return this.verdict(event);
  }

  changed(change: FileChange): void {
    this.changes.push(change);
  }
}

function start(t: ExecutionContext, vms: Record<string, Partial<VmAccess>> = { web: {} }, maxConnections = 64) {
  const folder = mkdtempSync(join(tmpdir(), 'drawbridge-server-'));
  const handler = new Recorder();
  const clock = { now: 0 };
  const table = new Map(Object.entries(vms).map(([vm, access]) => [vm, { token: `token of ${vm}`, uids: [process.getuid!()], policy, ...access }]));
  const server = new DriverServer({ vms: table, maxConnections, nowMs: () => clock.now, log: () => undefined }, handler);
  const path = join(folder, 's');
  server.listenUnix(path);
  const drivers: SimDriver[] = [];
  t.teardown(async () => {
    for (const d of drivers) d.close();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const dial = (): SimDriver => {
    const driver = new SimDriver(path);
    drivers.push(driver);
    return driver;
  };
  const login = async (vm = 'web'): Promise<SimDriver> => {
    const driver = dial();
    await driver.login({ vm, token: `token of ${vm}` });
    return driver;
  };
  return { server, handler, clock, path, dial, login, folder };
}

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !what(); i++) await new Promise((settle) => setTimeout(settle, 3));
  if (!what()) throw new Error('it did not happen');
}

const disposition = (d: SimDriver): Promise<Sent<0x43>> => d.take<Sent<0x43>>(T.DISPOSITION);

test('both ends prove themselves, the policy comes, events are judged at once or later', async (t) => {
  const { server, handler, dial } = start(t);
  const d = dial();
  const config = await d.login({ vm: 'web', token: 'token of web' });
  t.deepEqual(config.mounts, policy.mounts);
  t.is(server.sessions.get('web'), handler.session!);
  t.like(handler.session, { vm: 'web', hostName: 'web.test', open: true });
  handler.verdict = (e) => (e.path === '/bad' ? DENY : Promise.resolve(ALLOW));
  d.event(1, '/bad');
  d.event(2, '/good');
  t.deepEqual(await disposition(d), { type: T.DISPOSITION, id: 1, verdict: 2, remember: false });
  t.deepEqual(await disposition(d), { type: T.DISPOSITION, id: 2, verdict: 1, remember: true });
  t.like(server.counters, { allowed: 1, denied: 1, cancelled: 0 });
  t.is(server.counters.waits.reduce((a, b) => a + b), 2);
});

test('who may not come in is told why and cut off', async (t) => {
  const { server, handler, dial } = start(t, { web: {}, db: { uids: [987_654] } });
  const attempts: [Parameters<SimDriver['login']>[0], Refusal][] = [
    [{ vm: 'web', token: 'wrong' }, Refusal.PROOF],
    [{ vm: 'nobody', token: '' }, Refusal.PROOF],
    [{ vm: 'web', token: 'token of db' }, Refusal.PROOF],
    [{ vm: 'db', token: 'token of db' }, Refusal.CREDENTIALS],
    [{ vm: 'web', token: 'token of web', version: 2 }, Refusal.VERSION],
  ];
  for (const [options, reason] of attempts) {
    const d = dial();
    await t.throwsAsync(d.login(options));
    t.is((d.received.find((m) => m.type === T.REFUSED) as Sent<0x52>).reason, reason);
    await until(() => d.closed);
  }
  t.is(server.sessions.size, 0);
  t.deepEqual(handler.log, []);
  t.is(server.counters.refused, attempts.length);
});

test('a newer connection of the same VM replaces the older, whose events are cancelled', async (t) => {
  const { server, handler, login } = start(t);
  const first = await login();
  let waiting: FileEvent | null = null;
  let cancelled = 0;
  handler.verdict = (e) => {
    waiting = e;
    e.onCancel = () => cancelled++;
    return new Promise(() => undefined);
  };
  first.event(1, '/x');
  await until(() => waiting !== null);
  t.is(server.outstanding, 1);
  const second = await login();
  await until(() => first.closed);
  t.true(waiting!.cancelled);
  t.is(cancelled, 1);
  t.is(server.sessions.size, 1);
  t.false(second.closed);
  t.deepEqual(handler.log.toSorted(), ['+web', '+web', '-web']);
  t.is(server.counters.replaced, 1);
  t.is(server.outstanding, 0);
});

test('content is read on demand; the driver\'s errors and cancellations reach the reader', async (t) => {
  const { server, handler, login } = start(t);
  const d = await login();
  const file = Buffer.from('0123456789');
  d.onMessage = (m) => {
    if (m.type === T.READ) d.send({ type: T.DATA, id: m.id, status: m.file === 2 ? 5 : 0, bytes: file.subarray(m.offset, m.offset + m.length) });
    else if (m.type === T.HASH) d.send({ type: T.DIGEST, id: m.id, status: 0, identity: 'i'.repeat(48), sha256: new Uint8Array(32).fill(7) });
    else d.received.push(m);
  };
  handler.verdict = async (e) => {
    t.is(e.content.fd, -1);
    await t.throwsAsync(e.content.read(0, 0), { instanceOf: RangeError });
    const text = Buffer.from(await e.content.read(4, 3)).toString();
    const digest = await e.content.sha256();
    t.false(digest.trusted);
    t.is(digest.sha256[0], 7);
    return text === '456' ? DENY : ALLOW;
  };
  d.event(1, '/x');
  t.like(await disposition(d), { id: 1, verdict: 2 });
  handler.verdict = async (e) => {
    await e.content.read(0, 10);
    return ALLOW;
  };
  d.event(2, '/broken');
  await until(() => server.counters.failed === 1);
  // Nothing is answered: the driver's policy decides, and says so.
  d.send({ type: T.CANCEL, id: 2 });
  await until(() => server.counters.cancelled === 1);
  t.is(server.outstanding, 0);
  t.is(server.counters.bytesRead, 3);
});

test('an answer after CANCEL is not sent; a handler that throws is counted', async (t) => {
  const { server, handler, login } = start(t);
  const d = await login();
  let settle: ((x: Disposition) => void) | null = null;
  handler.verdict = () => new Promise((done) => (settle = done));
  d.event(1, '/slow');
  await until(() => settle !== null);
  d.send({ type: T.CANCEL, id: 1 });
  await until(() => server.counters.cancelled === 1);
  settle!(ALLOW);
  handler.verdict = () => {
    throw new Error('broken engine');
  };
  d.event(2, '/x');
  await until(() => server.counters.failed === 1);
  handler.verdict = () => ALLOW;
  d.event(3, '/y');
  t.like(await disposition(d), { id: 3 });
  t.is(d.received.filter((m) => m.type === T.DISPOSITION).length, 0);
});

test('LIST: batches in order, credit by consumption, errors, early end', async (t) => {
  const { handler, login } = start(t);
  const d = await login();
  const entry = (name: string) => ({ name, meta: { identity: 'i'.repeat(48), mode: 0o100644, uid: 0, gid: 0, nlink: 1 }, sha256: new Uint8Array(0), target: '' });
  let more = 0;
  d.onMessage = (m) => {
    if (m.type === T.LIST && m.path === '/etc') {
      for (let i = 0; i < 8; i++) d.send({ type: T.ENTRIES, id: m.id, status: 0, last: false, entries: [entry(`f${i}`)] });
    } else if (m.type === T.LIST) d.send({ type: T.ENTRIES, id: m.id, status: 2, last: true, entries: [] });
    else if (m.type === T.MORE && ++more === 8) d.send({ type: T.ENTRIES, id: m.id, status: 0, last: true, entries: [entry('last')] });
    else d.received.push(m);
  };
  const names: string[] = [];
  for await (const batch of handler.session!.list('/etc', 0)) names.push(...batch.map((e) => e.name));
  t.deepEqual(names, ['f0', 'f1', 'f2', 'f3', 'f4', 'f5', 'f6', 'f7', 'last']);
  const error = await t.throwsAsync(async () => {
    for await (const batch of handler.session!.list('/none', 0)) t.fail(String(batch));
  }, { instanceOf: DriverError });
  t.is((error as DriverError).code, 'ENOENT');
  for await (const batch of handler.session!.list('/etc', 0)) if (batch.length > 0) break;
  await d.take(T.STOP);
  t.false(d.closed);
});

test('a stream beyond its credit is a broken protocol', async (t) => {
  const { server, handler, login } = start(t);
  const d = await login();
  d.onMessage = (m) => {
    if (m.type === T.FOLLOW) {
      d.send({ type: T.RESULT, id: m.id, status: 0, file: 0 });
      for (let i = 0; i < 9; i++) d.send({ type: T.LOG_DATA, id: m.id, status: 0, offset: i, rotated: false, identity: 'i'.repeat(48), bytes: Buffer.from('x') });
    }
  };
  const follow = handler.session!.follow('/var/log/x', 0)[Symbol.asyncIterator]();
  await until(() => d.closed);
  t.is(server.counters.protocolErrors, 1);
  for (let i = 0; i < 8; i++) t.is((await follow.next()).value.offset, i);
  await t.throwsAsync(follow.next(), { instanceOf: DriverError });
});

test('remove and restore', async (t) => {
  const { handler, login } = start(t);
  const d = await login();
  const seen: string[] = [];
  const written: Uint8Array[] = [];
  d.onMessage = (m) => {
    if (m.type === T.WRITE) written.push(m.bytes);
    seen.push(Object.entries(T).find(([, code]) => code === m.type)![0]);
    if ('id' in m) d.send({ type: T.RESULT, id: m.id, status: m.type === T.COMMIT ? 17 : 0, file: 3 });
  };
  await handler.session!.remove('/x', 'i'.repeat(48));
  const content = (async function* pieces() {
    yield new Uint8Array(100_000).fill(1);
    yield new Uint8Array(5).fill(2);
  })();
  const error = await t.throwsAsync(handler.session!.restore('/x', { mode: 0o644, uid: 1, gid: 1, mtimeNs: 7n }, content), { instanceOf: DriverError });
  t.is((error as DriverError).code, 'EEXIST');
  t.deepEqual(seen, ['REMOVE', 'CREATE', 'WRITE', 'WRITE', 'WRITE', 'COMMIT']);
  t.is(written.reduce((n, w) => n + w.length, 0), 100_005);
});

test('late HELLO, silence and unanswered requests are cut off by the clock', async (t) => {
  const { server, handler, clock, dial, login } = start(t);
  const mute = dial();
  await mute.take(T.CHALLENGE);
  clock.now = 5001;
  server.tick();
  t.is((await mute.take<Sent<0x52>>(T.REFUSED)).reason, Refusal.TOO_SLOW);
  const d = await login();
  const asked = handler.session!.openFile('/x');
  await d.take(T.OPEN);
  clock.now += 2900;
  d.send({ type: T.CANCEL, id: 9 });
  d.event(1, '/x');
  await disposition(d);
  clock.now += 2999;
  server.tick();
  t.false(d.closed);
  clock.now += 30_000;
  server.tick();
  await t.throwsAsync(asked, { message: /ETIMEDOUT|ECANCELED/ });
  await until(() => d.closed);
  t.deepEqual(handler.log, ['+web', '-web']);
});

test('hostile peers: garbage, floods and half frames cost one connection each, nothing else', async (t) => {
  const { server, path, login } = start(t, { web: {}, other: {} }, 16);
  const good = await login('other');
  const before = readdirSync('/proc/self/fd').length;
  const hostile = [
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    Buffer.alloc(100_000, 0xff),
    Buffer.from([0, 0, 0, 12, 1, 0, 0, 0, 0, 0, 0, 0]), // an empty HELLO
    Buffer.from([0, 0, 0x40, 0]), // longer than any HELLO
  ];
  for (const bytes of hostile) {
    const socket = connect(path);
    socket.on('error', () => undefined);
    const closed = new Promise((settle) => socket.on('close', settle));
    socket.on('data', () => undefined);
    socket.write(bytes);
    await closed;
  }
  t.true(server.counters.protocolErrors >= 4);
  // Strangers get a quarter of the places: those who belong here still find one.
  const strangers = Array.from({ length: 20 }, () => connect(path).on('error', () => undefined));
  await until(() => server.connectionCount >= 4);
  const web = await (async () => {
    for (const s of strangers.slice(0, 4)) s.destroy();
    await until(() => server.connectionCount <= 5);
    for (let i = 0; ; i++) {
      try {
        return await login('web');
      } catch (error) {
        if (i > 20) throw error;
      }
    }
  })();
  t.true(server.connectionCount <= 6);
  for (const s of strangers) s.destroy();
  await until(() => server.connectionCount === 2);
  for (const d of [good, web]) {
    d.event(1, '/x');
    t.like(await disposition(d), { id: 1, verdict: 1 });
  }
  t.true(readdirSync('/proc/self/fd').length <= before + 4);
});

test('after authentication: double ids, messages of the wrong direction and missing descriptors end the connection', async (t) => {
  const { server, handler, login } = start(t);
  handler.verdict = () => new Promise(() => undefined);
  const acts: ((d: SimDriver) => void)[] = [
    (d) => {
      d.event(1, '/x');
      d.event(1, '/y');
    },
    (d) => d.event(1, '/x', { descriptor: true }),
    (d) => d.send({ type: T.PONG, id: 1 } as never),
    (d) => d.send({ type: T.HELLO, version: 1, capabilities: 0, nonce: new Uint8Array(32), proof: new Uint8Array(32), bootId: new Uint8Array(16), vm: 'web', hostName: '', kernel: '', driver: '' }),
    (d) => {
      for (let i = 0; i < 4100; i++) d.event(i, '/x');
    },
  ];
  for (const act of acts) {
    const errors = server.counters.protocolErrors;
    const d = await login();
    act(d);
    await until(() => d.closed);
    t.is(server.counters.protocolErrors, errors + 1);
  }
  t.is(server.outstanding, 0);
});

test('mutated frames after authentication: at worst that connection ends, and another driver is served all the while', async (t) => {
  const { server, handler, login, path } = start(t, { web: {}, other: {} });
  const good = await login('other');
  handler.verdict = async (e) => {
    await e.content.read(0, 16);
    return ALLOW;
  };
  let seed = 7;
  const pick = (n: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  for (let session = 0; session < 40; session++) {
    const d = await login('web');
    void handler.session!.openFile('/x').catch(() => undefined);
    const listing = handler.session!.list('/', 0)[Symbol.asyncIterator]();
    void listing.next().catch(() => undefined);
    const real = d.socket.write.bind(d.socket);
    d.socket.write = ((frame: Buffer) => {
      for (let edits = pick(3); edits > 0; edits--) frame[pick(30) === 0 ? pick(4) : 4 + pick(frame.length - 4)] = pick(256);
      return real(pick(50) === 0 ? frame.subarray(0, pick(frame.length)) : frame);
    }) as typeof d.socket.write;
    for (let i = 0; i < 30 && !d.closed; i++) {
      d.event(i, `/file${i}`, { kind: (1 + pick(4)) as 1 | 2 | 3 | 4 });
      d.send({ type: T.DATA, id: pick(40), status: pick(3), bytes: new Uint8Array(pick(100)) });
      d.send({ type: T.OPENED, id: pick(3), status: 0, file: 5, meta: { identity: 'i'.repeat(48), mode: 0, uid: 0, gid: 0, nlink: 0 }, descriptor: false });
      d.send({ type: T.ENTRIES, id: pick(3), status: 0, last: false, entries: [] });
      d.send({ type: T.CANCEL, id: pick(40) });
      if (i % 10 === 0) await new Promise((settle) => setImmediate(settle));
    }
    d.close();
  }
  handler.verdict = () => ALLOW;
  good.event(1, '/x');
  t.like(await disposition(good), { id: 1, verdict: 1 });
  await until(() => server.sessions.size === 1);
  t.is(server.outstanding, 0);
  t.true(server.counters.protocolErrors > 5, path);
});

test('vsock: it listens where the kernel has it, and says so where not', (t) => {
  const { server } = start(t);
  try {
    server.listenVsock(39_871);
    t.throws(() => server.listenVsock(39_871), { code: 'EADDRINUSE' });
  } catch (error) {
    t.true(['EAFNOSUPPORT', 'EACCES', 'ENODEV', 'EADDRNOTAVAIL'].includes((error as NodeJS.ErrnoException).code ?? ''), String(error));
  }
});

test('a driver that does not read what it is sent is cut off', async (t) => {
  const { server, login } = start(t);
  const d = await login();
  d.socket.pause();
  for (let i = 0; i < 200 && server.sessions.size > 0; i++) {
    for (let k = 0; k < 1000; k++) d.send({ type: T.PING, id: 1, events: 0, allowed: 0, denied: 0, remembered: 0, filtered: 0, failed: 0, timeouts: 0, disconnected: 0, overflows: 0, notifications: 0, notificationsLost: 0, bytesRead: 0, outstanding: 0, residentKiB: 0, reconnects: 0 });
    await new Promise((settle) => setTimeout(settle, 3));
  }
  t.is(server.sessions.size, 0);
  t.is(server.counters.tooSlow, 1);
});

test('changed directory entries and new policies and epochs reach the other end', async (t) => {
  const { server, handler, login } = start(t);
  const d = await login();
  d.send({ type: T.CHANGE, id: 0, kind: 4, mount: 0, process: { pid: 5, uid: 6, image: '/bin/mv' }, path: '/etc/x' });
  await until(() => handler.changes.length === 1);
  t.like(handler.changes[0], { kind: 4, path: '/etc/x', mount: '/' });
  server.setEpoch(7);
  t.is((await d.take<Sent<0x50>>(T.FORGET)).epoch, 7);
  server.setPolicy('web', { ...policy, maxOutstanding: 5 });
  t.like(await d.take<Sent<0x42>>(T.CONFIG), { epoch: 7, maxOutstanding: 5 });
  t.throws(() => server.setPolicy('nobody', policy), { instanceOf: RangeError });
});

test('TLS: the same protocol; a client without TLS gets nowhere', async (t) => {
  const { server, folder, handler } = start(t);
  const key = join(folder, 'key.pem');
  const cert = join(folder, 'cert.pem');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert, '-days', '1', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'], { stdio: 'ignore' });
  const ca = readFileSync(cert);
  const port = await server.listenTls('localhost', 0, { key: readFileSync(key), cert: ca });
  const plain = connect(port, 'localhost');
  plain.on('error', () => undefined);
  plain.write(Buffer.alloc(64));
  await new Promise((settle) => plain.on('close', settle));
  const d = new SimDriver({ port, ca });
  await d.login({ vm: 'web', token: 'token of web' });
  t.regex(handler.session!.peer, /^tls /);
  d.event(1, '/x');
  t.like(await disposition(d), { id: 1, verdict: 1 });
  d.close();
  await until(() => server.sessions.size === 0);
});
