import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import {
  CaptureError,
  D_FRAME_NO,
  D_LEN,
  D_LINK_TYPE,
  D_OFF,
  D_PORT,
  D_STRIDE,
  D_TS_SEC,
  D_TS_USEC,
  D_WIRE_LEN,
  FrameBatch,
  MemorySource,
  PcapWriter,
  PcapngWriter,
  createCapture,
  openCapture,
  openCaptureFrom,
  type CaptureSource,
} from '../../../src/packet/index.js';

const SAMPLES = ['pcaps/decode/ppp-fragments.pcap', 'pcaps/decode/ipv6-fragments.pcap', 'pcaps/decode/vlan-ipv6-hopopts.pcap', 'pcaps/decode/raw-truncated.pcap'];

interface Frame {
  bytes: number[];
  wireLen: number;
  sec: number;
  usec: number;
  linkType: number;
}

function drain(source: CaptureSource, batchSize = 3): Frame[] {
  const batch = new FrameBatch(batchSize, 0);
  const frames: Frame[] = [];
  while (source.fillBatch(batch, 7) > 0) {
    for (let row = 0; row < batch.rxCount; row++) {
      const d = row * D_STRIDE;
      const at = batch.desc[d + D_OFF]!;
      if (batch.desc[d + D_PORT] !== 7 || batch.desc[d + D_FRAME_NO] !== frames.length + 1 || at % 64 !== 0) throw new Error('row is wrong');
      frames.push({
        bytes: [...batch.arena.subarray(at, at + batch.desc[d + D_LEN]!)],
        wireLen: batch.desc[d + D_WIRE_LEN]!,
        sec: batch.desc[d + D_TS_SEC]!,
        usec: batch.desc[d + D_TS_USEC]!,
        linkType: batch.desc[d + D_LINK_TYPE]!,
      });
    }
  }
  return frames;
}

function scratch(): { path: (name: string) => string; remove: () => void } {
  const dir = mkdtempSync(join(tmpdir(), 'capture-test-'));
  return { path: (name) => join(dir, name), remove: () => rmSync(dir, { recursive: true }) };
}

const memory = (bytes: Uint8Array, name = 'mem') => openCaptureFrom(new MemorySource(bytes), name);

/** The independent reader. It emits everything on later ticks, so listeners may be added after `parse`. */
interface OraclePacket {
  header: { timestampSeconds: number; timestampMicroseconds: number; capturedLength: number; originalLength: number };
  data: Buffer;
}
interface Oracle {
  on(event: 'packet', listener: (packet: OraclePacket) => void): void;
  on(event: 'end', listener: () => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
}
const pcapParser = createRequire(import.meta.url)('pcap-parser') as { parse(path: string): Oracle };

function oracle(path: string): Promise<Frame[]> {
  return new Promise((resolve, reject) => {
    const frames: Frame[] = [];
    const parser = pcapParser.parse(path);
    parser.on('packet', ({ header, data }) => {
      frames.push({ bytes: [...data], wireLen: header.originalLength, sec: header.timestampSeconds, usec: header.timestampMicroseconds, linkType: -1 });
    });
    parser.on('end', () => resolve(frames));
    parser.on('error', reject);
  });
}

for (const path of SAMPLES) {
  test(`${path}: same frames as pcap-parser reads`, async (t) => {
    const source = openCapture(path);
    const frames = drain(source);
    t.is(source.error, null);
    t.true(frames.length > 0);
    t.deepEqual(
      frames.map((frame) => ({ ...frame, linkType: -1 })),
      await oracle(path),
    );
  });
}

const frameArb = fc.record({
  bytes: fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 200 }),
  more: fc.integer({ min: 0, max: 1500 }),
  sec: fc.integer({ min: 0, max: 0x7fffffff }),
  usec: fc.integer({ min: 0, max: 999_999 }),
});

test('pcap and pcapng, us and ns, plain and gz: what is written is what is read', async (t) => {
  const tmp = scratch();
  await fc.assert(
    fc.asyncProperty(fc.array(frameArb, { minLength: 1, maxLength: 12 }), fc.boolean(), fc.boolean(), fc.boolean(), async (frames, ng, nanoseconds, gz) => {
      const path = tmp.path(ng ? 'a.pcapng' : 'a.pcap');
      const writer = createCapture(path, { linkType: 101, nanoseconds });
      t.true(ng ? writer instanceof PcapngWriter : writer instanceof PcapWriter);
      for (const { bytes, more, sec, usec } of frames) {
        // 999 ns more must not round up to the next microsecond.
        writer.write(Uint8Array.from(bytes), 0, bytes.length, bytes.length + more, sec, nanoseconds ? usec * 1000 + 999 : usec);
      }
      writer.close();
      t.is(writer.frames, frames.length);
      const file = readFileSync(path);
      const source = memory(gz ? gzipSync(file) : file);
      const want = frames.map(({ bytes, more, sec, usec }) => ({ bytes, wireLen: bytes.length + more, sec, usec, linkType: 101 }));
      t.deepEqual(drain(source), want);
      t.is(source.error, null);
      t.is(source.format, ng ? 'pcapng' : 'pcap');
      if (!ng && !nanoseconds) t.deepEqual(await oracle(path), want.map((frame) => ({ ...frame, linkType: -1 })));
    }),
    { numRuns: 60 },
  );
  tmp.remove();
});

test('big-endian files of both formats', (t) => {
  const pcap = (magic: number) => {
    const d = new DataView(new ArrayBuffer(24 + 16 + 4));
    d.setUint32(0, magic);
    d.setUint16(4, 2);
    d.setUint16(6, 4);
    d.setUint32(16, 65535);
    d.setUint32(20, 1);
    d.setUint32(24, 1000);
    d.setUint32(28, magic === 0xa1b23c4d ? 5_000 : 5);
    d.setUint32(32, 4);
    d.setUint32(36, 60);
    d.setUint32(40, 0xdeadbeef);
    return new Uint8Array(d.buffer);
  };
  const want = [{ bytes: [0xde, 0xad, 0xbe, 0xef], wireLen: 60, sec: 1000, usec: 5, linkType: 1 }];
  t.deepEqual(drain(memory(pcap(0xa1b2c3d4))), want);
  t.deepEqual(drain(memory(pcap(0xa1b23c4d))), want);

  const ng = blocks(false, [section(), interfaceBlock(1, []), packet(6, 0, 1_000_000_005, [0xde, 0xad, 0xbe, 0xef], 60)]);
  t.deepEqual(drain(memory(ng)), want);
});

/** A little pcapng assembler of its own, so that the reader is not only tested against our writer. */
type Block = (little: boolean) => { type: number; body: Uint8Array };
function blocks(little: boolean, list: readonly Block[]): Uint8Array {
  const parts = list.map((block) => {
    const { type, body } = block(little);
    const padded = (body.length + 3) & ~3;
    const d = new DataView(new ArrayBuffer(12 + padded));
    d.setUint32(0, type, little);
    d.setUint32(4, 12 + padded, little);
    new Uint8Array(d.buffer).set(body, 8);
    d.setUint32(8 + padded, 12 + padded, little);
    return new Uint8Array(d.buffer);
  });
  return new Uint8Array(Buffer.concat(parts));
}
const section = (): Block => (little) => {
  const d = new DataView(new ArrayBuffer(16));
  d.setUint32(0, 0x1a2b3c4d, little);
  d.setUint16(4, 1, little);
  d.setBigInt64(8, -1n, little);
  return { type: 0x0a0d0d0a, body: new Uint8Array(d.buffer) };
};
const interfaceBlock =
  (linkType: number, options: readonly (readonly [number, readonly number[]])[], snapLen = 0): Block =>
  (little) => {
    const d = new DataView(new ArrayBuffer(8 + options.reduce((n, [, value]) => n + 4 + ((value.length + 3) & ~3), 4)));
    d.setUint16(0, linkType, little);
    d.setUint32(4, snapLen, little);
    let at = 8;
    for (const [code, value] of options) {
      d.setUint16(at, code, little);
      d.setUint16(at + 2, value.length, little);
      new Uint8Array(d.buffer).set(value, at + 4);
      at += 4 + ((value.length + 3) & ~3);
    }
    return { type: 1, body: new Uint8Array(d.buffer) };
  };
const packet =
  (type: 2 | 6, id: number, ticks: number | bigint, bytes: readonly number[], wireLen: number): Block =>
  (little) => {
    const d = new DataView(new ArrayBuffer(20 + bytes.length));
    if (type === 6) d.setUint32(0, id, little);
    else d.setUint16(0, id, little);
    d.setUint32(4, Number(BigInt(ticks) >> 32n), little);
    d.setUint32(8, Number(BigInt(ticks) & 0xffffffffn), little);
    d.setUint32(12, bytes.length, little);
    d.setUint32(16, wireLen, little);
    new Uint8Array(d.buffer).set(bytes, 20);
    return { type, body: new Uint8Array(d.buffer) };
  };
const simplePacket =
  (bytes: readonly number[], wireLen: number): Block =>
  (little) => {
    const d = new DataView(new ArrayBuffer(4 + bytes.length));
    d.setUint32(0, wireLen, little);
    new Uint8Array(d.buffer).set(bytes, 4);
    return { type: 3, body: new Uint8Array(d.buffer) };
  };
const custom = (size: number): Block => () => ({ type: 0x0bad, body: new Uint8Array(size) });

test('pcapng: sections, interfaces, resolutions, offsets, simple and obsolete blocks, unknown blocks', (t) => {
  for (const little of [true, false]) {
    const file = blocks(little, [
      section(),
      custom(20),
      interfaceBlock(1, [[9, [9]]]),
      interfaceBlock(101, [[9, [0x80 | 20]]]),
      interfaceBlock(113, [[14, little ? [10, 0, 0, 0, 0, 0, 0, 0] : [0, 0, 0, 0, 0, 0, 0, 10]]], 3),
      interfaceBlock(1, [[9, [12]]]),
      packet(6, 0, 1_700_000_000_123_456_789n, [1, 2, 3], 3),
      packet(6, 1, (77n << 20n) | (1n << 19n), [4], 9),
      packet(2, 2, 90_000_000n, [5, 6], 2),
      packet(6, 3, 5_000_001_000_000n, [7], 1),
      custom(4_500_000),
      section(),
      interfaceBlock(12, [], 3),
      simplePacket([1, 2, 3], 5),
    ]);
    const source = memory(file);
    t.deepEqual(drain(source), [
      { bytes: [1, 2, 3], wireLen: 3, sec: 1_700_000_000, usec: 123_456, linkType: 1 },
      { bytes: [4], wireLen: 9, sec: 77, usec: 500_000, linkType: 101 },
      { bytes: [5, 6], wireLen: 2, sec: 100, usec: 0, linkType: 113 },
      { bytes: [7], wireLen: 1, sec: 5, usec: 1, linkType: 1 },
      { bytes: [1, 2, 3], wireLen: 5, sec: 0, usec: 0, linkType: 12 },
    ]);
    t.is(source.error, null);
  }
});

test('a file cut anywhere gives the frames before the cut and names the fault', (t) => {
  const pcap = readFileSync('pcaps/decode/ipv6-fragments.pcap');
  const ng = blocks(true, [section(), interfaceBlock(1, []), packet(6, 0, 1, [1, 2, 3], 3), packet(6, 0, 2, [4, 5, 6, 7], 4)]);
  for (const file of [pcap, ng]) {
    const whole = drain(memory(file));
    for (let cut = 0; cut < Math.min(file.length, 2000); cut++) {
      const part = file.subarray(0, cut);
      let source: CaptureSource;
      try {
        source = memory(part, 'cut.pcap');
      } catch (error) {
        t.true(error instanceof CaptureError, String(error));
        continue;
      }
      const frames = drain(source);
      t.deepEqual(frames, whole.slice(0, frames.length));
      if (frames.length < whole.length && source.error !== null) {
        t.is(source.error.file, 'cut.pcap');
        t.true(source.error.offset <= cut);
        t.regex(source.error.message, /cut off/);
      }
    }
    // A cut inside the last frame is always an error, one at a record's border cannot be told from the end.
    const source = memory(file.subarray(0, file.length - 1));
    t.is(drain(source).length, whole.length - 1);
    t.truthy(source.error);
  }
});

test('a gz file cut short or damaged gives what is there plus an error', (t) => {
  const writerPath = scratch();
  const writer = new PcapWriter(writerPath.path('big.pcap'));
  const noise = new Uint8Array(1000);
  let state = 1;
  for (let i = 0; i < 400; i++) {
    for (let j = 0; j < noise.length; j++) {
      state = (Math.imul(state, 1103515245) + 12345) | 0;
      noise[j] = state >>> 24;
    }
    writer.write(noise, 0, noise.length, noise.length, i, 0);
  }
  writer.close();
  const packed = gzipSync(readFileSync(writerPath.path('big.pcap')));
  writerPath.remove();
  t.is(drain(memory(packed)).length, 400);
  const half = memory(packed.subarray(0, packed.length >> 1), 'half.pcap.gz');
  t.true(drain(half).length > 100);
  t.regex(half.error?.reason ?? '', /cut off/);
  const damaged = Uint8Array.from(packed);
  damaged[packed.length - 6]! ^= 0xff; // the checksum
  const source = memory(damaged);
  t.is(drain(source).length, 400);
  t.regex(source.error?.reason ?? '', /checksum/);
  // Two members in a row are one file (RFC 1952 section 2.2).
  const file = readFileSync('pcaps/decode/ipv6-fragments.pcap');
  const twice = memory(new Uint8Array(Buffer.concat([gzipSync(file.subarray(0, 100)), gzipSync(file.subarray(100))])));
  t.deepEqual(drain(twice), drain(memory(file)));
});

test('gunzip agrees with zlib on every kind of block', (t) => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 3000 }), fc.constant(new Uint8Array(70_000).fill(65))), { minLength: 1, maxLength: 4 }), fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 4 }), (parts, level, strategy) => {
      const header = readFileSync('pcaps/decode/raw-truncated.pcap').subarray(0, 24);
      const records = parts.map((part) => {
        const record = new Uint8Array(16 + part.length);
        const d = new DataView(record.buffer);
        d.setUint32(8, part.length, true);
        d.setUint32(12, part.length, true);
        record.set(part, 16);
        return record;
      });
      const packed = gzipSync(Buffer.concat([header, ...records]), { level, strategy });
      const source = memory(packed);
      const frames = drain(source, 4);
      t.is(source.error, null);
      t.is(frames.length, parts.length);
      for (const [i, part] of parts.entries()) t.true(Buffer.from(part).equals(Buffer.from(frames[i]!.bytes)));
    }),
    { numRuns: 40 },
  );
});

test('damaged files never throw anything but CaptureError at open, and never loop', (t) => {
  const bases = SAMPLES.map((path) => readFileSync(path).subarray(0, 4000));
  bases.push(Buffer.from(blocks(true, [section(), interfaceBlock(1, [[9, [9]]]), packet(6, 0, 1, [1, 2, 3], 3)])));
  bases.push(gzipSync(bases[0]!));
  fc.assert(
    fc.property(fc.constantFrom(...bases), fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 }), (base, flips) => {
      const file = Uint8Array.from(base);
      for (const [at, value] of flips) file[at % file.length] = value;
      try {
        const source = memory(file);
        drain(source);
        source.close();
      } catch (error) {
        t.true(error instanceof CaptureError, String(error));
      }
    }),
    { numRuns: 400 },
  );
  t.pass();
});

test('what is not a capture is refused with file name and reason', (t) => {
  const tmp = scratch();
  for (const [name, bytes, reason] of [
    ['empty.pcap', [], /empty/],
    ['text.pcap', [...Buffer.from('hello world, this is text')], /not a capture file/],
    ['short.pcap', [0xd4, 0xc3], /not a capture file/],
    ['header.pcap', [0xd4, 0xc3, 0xb2, 0xa1, 2, 0], /header cut off/],
    ['version.pcap', [0xd4, 0xc3, 0xb2, 0xa1, 9, 0, ...Array.from({ length: 18 }, () => 0)], /version 9/],
    ['usb.pcap', [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, ...Array.from({ length: 12 }, () => 0), 220, 0, 0, 0], /link type 220/],
    ['bad.gz', [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], /corrupt|cut off/],
    ['text.gz', [...gzipSync('hello world')], /not a capture file/],
  ] as const) {
    const path = tmp.path(name);
    writeFileSync(path, Uint8Array.from(bytes));
    const error = t.throws(() => openCapture(path), { instanceOf: CaptureError });
    t.regex(error.message, reason);
    t.true(error.message.startsWith(path));
  }
  t.throws(() => openCapture(tmp.path('missing.pcap')), { code: 'ENOENT' });
  t.throws(() => openCapture(tmp.path('.')), { code: 'EISDIR' });
  tmp.remove();
});

test('a record that claims more than a frame can have is a fault, not an allocation', (t) => {
  const file = Uint8Array.from(readFileSync('pcaps/decode/ipv6-fragments.pcap'));
  new DataView(file.buffer).setUint32(24 + 8, 0x7fffffff, true);
  const source = memory(file);
  t.deepEqual(drain(source), []);
  t.regex(source.error?.message ?? '', /record of 2147483647 bytes/);
});

test('frames of 256 KiB pass a batch that can hold them and are counted when it cannot', (t) => {
  const tmp = scratch();
  const path = tmp.path('big.pcap');
  const writer = new PcapWriter(path);
  const big = new Uint8Array(256 * 1024).fill(1);
  for (let i = 0; i < 5; i++) writer.write(big, 0, big.length, big.length, i, 0);
  writer.write(big, 0, 100, 100, 5, 0);
  writer.close();
  const roomy = openCapture(path);
  t.deepEqual(drain(roomy, 9).map((frame) => frame.bytes.length), [...Array.from({ length: 5 }, () => big.length), 100]);
  t.is(roomy.oversized, 0);
  const tight = openCapture(path);
  const batch = new FrameBatch(1, 0);
  t.is(tight.fillBatch(batch), 1);
  t.is(batch.desc[D_LEN], 100);
  t.is(batch.desc[D_FRAME_NO], 6);
  t.is(tight.oversized, 5);
  t.is(tight.fillBatch(batch), 0);
  t.is(tight.error, null);
  tmp.remove();
});
