import test from 'ava';
import fc from 'fast-check';
import {
  FLAG_DESCRIPTOR, FieldWriter, FrameSplitter, HEADER_BYTES, MAX_CHUNK, MAX_FRAME, MessageType, ProtocolError, applianceProof, decodeMessage,
  describeIdentity, driverProof, encodeMessage, identityKey, sameProof, type DriverStats, type Message,
} from '../../../src/file-events/index.js';

const T = MessageType;
const bytes = (n: number, from = 1): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (from + i) & 255);
const identity = identityKey({ device: 0x801n, inode: 12_345_678_901n, size: 68n, mtimeNs: 1_700_000_000_123_456_789n, ctimeNs: -1n, change: 7n });
const meta = { identity, mode: 0o100644, uid: 1000, gid: 100, nlink: 1 };
const who = { pid: 4711, uid: 33, image: '/usr/bin/cat' };
const stats: DriverStats = {
  events: 1, allowed: 2, denied: 3, remembered: 4, filtered: 5, failed: 6, timeouts: 7, disconnected: 8, overflows: 9, notifications: 10,
  notificationsLost: 11, bytesRead: 2 ** 40, outstanding: 12, residentKiB: 900, reconnects: 13,
};

/** One of each: a new message type without a row here fails the test below. */
const SAMPLES: readonly Message[] = [
  { type: T.CHALLENGE, minVersion: 1, maxVersion: 3, nonce: bytes(32) },
  { type: T.HELLO, version: 1, capabilities: 0x7f, nonce: bytes(32), proof: bytes(32, 9), bootId: bytes(16), vm: 'web', hostName: 'web.example', kernel: '6.1.0', driver: '0.1.0' },
  { type: T.WELCOME, version: 1, proof: bytes(32, 3) },
  { type: T.REFUSED, reason: 3, text: 'the token is not that of VM "web"' },
  {
    type: T.CONFIG, epoch: 9, heartbeatMs: 5000, maxOutstanding: 64, passDescriptors: true, kernelCache: false,
    mounts: [{ path: '/', scope: 2, events: 27, failure: 3, timeoutMs: 2000, maxSize: 2 ** 35 }],
    filters: [{ kind: 1, value: '/proc' }, { kind: 5, value: 'elf' }],
  },
  { type: T.EVENT, id: 0xffff_ffff, kind: 2, permission: true, mount: 3, meta, size: 68, process: who, waitedUs: 17, path: '/tmp/ä b', descriptor: true },
  { type: T.DISPOSITION, id: 5, verdict: 2, remember: true },
  { type: T.CANCEL, id: 5 },
  { type: T.READ, id: 6, file: 5, offset: 2 ** 33 + 1, length: MAX_CHUNK },
  { type: T.DATA, id: 6, status: 0, bytes: bytes(MAX_CHUNK) },
  { type: T.HASH, id: 7, file: 5 },
  { type: T.DIGEST, id: 7, status: 5, identity, sha256: bytes(32) },
  { type: T.OPEN, id: 8, path: '/etc/passwd' },
  { type: T.OPENED, id: 8, status: 0, file: 0x8000_0001, meta, descriptor: false },
  { type: T.CLOSE, id: 9, file: 0x8000_0001 },
  { type: T.RESULT, id: 9, status: 2, file: 0 },
  { type: T.LIST, id: 10, path: '/etc', hashUpTo: 1e9 },
  { type: T.ENTRIES, id: 10, status: 0, last: true, entries: [{ name: 'passwd', meta, sha256: bytes(32), target: '' }, { name: 'mtab', meta, sha256: new Uint8Array(0), target: '../proc/self/mounts' }] },
  { type: T.MORE, id: 10, count: 4 },
  { type: T.FOLLOW, id: 11, path: '/var/log/auth.log', offset: -1 },
  { type: T.LOG_DATA, id: 11, status: 0, offset: 99, rotated: true, identity, bytes: bytes(3) },
  { type: T.STOP, id: 11 },
  { type: T.REMOVE, id: 12, path: '/tmp/\udcff\udc80x', identity },
  { type: T.CREATE, id: 13, path: '/tmp/x', mode: 0o644, uid: 1, gid: 2, mtimeNs: -5n },
  { type: T.WRITE, id: 14, file: 1, offset: 0, bytes: bytes(10) },
  { type: T.COMMIT, id: 15, file: 1 },
  { type: T.CHANGE, id: 0, kind: 4, mount: 0, process: who, path: '/etc/cron.d/x' },
  { type: T.FORGET, id: 0, epoch: 10 },
  { type: T.PING, id: 16, ...stats },
  { type: T.PONG, id: 16 },
];

test('every message survives the wire', (t) => {
  const w = new FieldWriter(16);
  const byNumber = (a: number, b: number): number => a - b;
  t.deepEqual(SAMPLES.map((m) => m.type).toSorted(byNumber), Object.values(MessageType).toSorted(byNumber));
  for (const sample of SAMPLES) {
    const frame = Buffer.from(encodeMessage(w, sample));
    t.is(frame.readUInt32BE(0), frame.length);
    t.deepEqual(decodeMessage(frame, 0, frame.length), sample);
  }
});

test('a frame that is cut short or has bytes left over is refused, at every length', (t) => {
  const w = new FieldWriter();
  // Types that end in content of any length are complete at more than one length.
  const open: readonly number[] = [T.DATA, T.WRITE, T.LOG_DATA, T.ENTRIES];
  for (const sample of SAMPLES) {
    const frame = Buffer.from(encodeMessage(w, sample));
    if (open.includes(sample.type)) continue;
    for (let n = HEADER_BYTES; n < frame.length; n++) t.throws(() => decodeMessage(frame, 0, n), { instanceOf: ProtocolError });
    const longer = Buffer.concat([frame, Buffer.of(0)]);
    t.throws(() => decodeMessage(longer, 0, longer.length), { instanceOf: ProtocolError });
  }
});

test('codes, flags, limits and paths outside the protocol are refused', (t) => {
  const w = new FieldWriter();
  const change = (m: Message, at: number, value: number): Buffer => {
    const frame = Buffer.from(encodeMessage(w, m));
    frame[at] = value;
    return frame;
  };
  const find = (type: number): Message => SAMPLES.find((m) => m.type === type)!;
  const bad = [
    change(find(T.EVENT), 4, 0x3f), // unknown type
    change(find(T.PONG), 5, FLAG_DESCRIPTOR), // flag where none belongs
    change(find(T.PONG), 7, 1), // reserved
    change(find(T.EVENT), HEADER_BYTES, 9), // event kind
    change(find(T.EVENT), HEADER_BYTES + 1, 2), // bool
    change(find(T.DISPOSITION), HEADER_BYTES, 0), // verdict
    change(find(T.HELLO), HEADER_BYTES, 0), // magic
    change(find(T.READ), HEADER_BYTES + 4, 0xff), // offset above 2^53
    change(find(T.OPEN), HEADER_BYTES + 4, 0), // NUL in the path
  ];
  for (const frame of bad) t.throws(() => decodeMessage(frame, 0, frame.length), { instanceOf: ProtocolError });
  t.throws(() => encodeMessage(w, { type: T.OPEN, id: 1, path: 'x'.repeat(4096) }), { instanceOf: RangeError });
  t.throws(() => encodeMessage(w, { type: T.DATA, id: 1, status: 0, bytes: new Uint8Array(MAX_FRAME) }), { instanceOf: RangeError });
});

test('mutated frames decode to a message or a ProtocolError, nothing else', (t) => {
  const w = new FieldWriter();
  const frames = SAMPLES.map((m) => Buffer.from(encodeMessage(w, m))).filter((f) => f.length < 2000);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: frames.length - 1 }), fc.array(fc.tuple(fc.nat(1999), fc.nat(255)), { minLength: 1, maxLength: 6 }), (which, edits) => {
      const frame = Buffer.from(frames[which]!);
      for (const [at, value] of edits) if (at % frame.length >= 4) frame[at % frame.length] = value;
      try {
        decodeMessage(frame, 0, frame.length);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

test('paths of any bytes come back as the same bytes', (t) => {
  const w = new FieldWriter();
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (raw) => {
      const path = raw.map((b) => (b === 0 ? 1 : b));
      const frame = Buffer.concat([encodeMessage(w, { type: T.OPEN, id: 1, path: 'x'.repeat(path.length) }).subarray(0, HEADER_BYTES + 2), path]);
      const again = encodeMessage(w, decodeMessage(frame, 0, frame.length));
      return again.equals(frame);
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

test('the splitter gives the same frames however the stream is cut', (t) => {
  const w = new FieldWriter();
  const frames = SAMPLES.map((m) => Buffer.from(encodeMessage(w, m)));
  const stream = Buffer.concat(frames);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 30 }), fc.boolean(), (cuts, tiny) => {
      const splitter = new FrameSplitter();
      const got: Buffer[] = [];
      for (let at = 0, i = 0; at < stream.length; i++) {
        const n = Math.min(tiny && at < 3000 ? (cuts[i % cuts.length]! % 7) + 1 : cuts[i % cuts.length]!, stream.length - at);
        splitter.push(stream.subarray(at, at + n), n, (buf, from, length) => got.push(Buffer.from(buf.subarray(from, from + length))) > 0);
        at += n;
      }
      return splitter.pending === 0 && got.length === frames.length && got.every((g, i) => g.equals(frames[i]!));
    }),
    { numRuns: 60 },
  );
  t.pass();
});

test('an impossible length is refused as soon as it is there; a long one buys no memory', (t) => {
  for (const length of [0, HEADER_BYTES - 1, MAX_FRAME + 1, 0xffff_ffff]) {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(length);
    const never = (): boolean => t.fail('no frame');
    t.throws(() => new FrameSplitter().push(head, 4, never), { instanceOf: ProtocolError });
    const byByte = new FrameSplitter();
    t.throws(() => {
      for (let i = 0; i < 4; i++) byByte.push(head.subarray(i), 1, never);
      byByte.push(head, 1, never);
    }, { instanceOf: ProtocolError });
  }
  const slow = new FrameSplitter();
  const head = Buffer.alloc(10);
  head.writeUInt32BE(MAX_FRAME);
  slow.push(head, 10, () => true);
  t.is(slow.pending, 10);
  t.true(slow.held <= 1024);
});

test('identities are taken apart and put together', (t) => {
  t.is(identity.length, 48);
  t.like(describeIdentity(identity), { inode: 12_345_678_901n, size: 68n, ctimeNs: -1n });
  t.throws(() => describeIdentity('short'), { instanceOf: RangeError });
});

test('proofs differ by end, token, nonce and VM', (t) => {
  const a = bytes(32);
  const b = bytes(32, 50);
  const proof = driverProof('secret', a, b, 'web');
  t.true(sameProof(proof, driverProof('secret', a, b, 'web')));
  for (const other of [applianceProof('secret', a, b, 'web'), driverProof('Secret', a, b, 'web'), driverProof('secret', b, a, 'web'), driverProof('secret', a, b, 'web2'), bytes(31)]) {
    t.false(sameProof(proof, other));
  }
});
