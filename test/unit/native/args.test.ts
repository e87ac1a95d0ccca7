import test from 'ava';
import * as fc from 'fast-check';
import * as native from '@drawbridge/native';

/** ES2024, which Node has had since version 20. */
const Resizable = ArrayBuffer as unknown as new (length: number, options: { maxByteLength: number }) => ArrayBuffer;

/** Everything a caller could get wrong, in any position. Calls must return or throw an Error: never crash. */
const anything = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, true, NaN, Infinity, -Infinity, -0, -1, 0.5, 2 ** 31, 2 ** 53, 1n, '', 'x'),
  fc.integer(),
  fc.double(),
  fc.string({ maxLength: 20 }),
  fc.constantFrom<() => unknown>(
    () => new Uint8Array(0),
    () => new Uint8Array(64),
    () => new Uint8Array(new Resizable(64, { maxByteLength: 128 })),
    () => new Uint8Array(new SharedArrayBuffer(64)),
    () => detached(),
    () => new Int32Array(3),
    () => new Int32Array(64),
    () => new Uint32Array(4),
    () => new Float64Array(4),
    () => new BigInt64Array(2),
    () => new DataView(new ArrayBuffer(8)),
    () => new ArrayBuffer(8),
    () => Buffer.from('hello'),
    () => [],
    () => [{}],
    () => [{ id: 1, expression: 'abc', flags: 0 }],
    () => ({ id: 1 }),
    () => Symbol('s'),
    () => () => 1,
    () => new Proxy({}, { get: () => { throw new Error('trap'); } }),
    () => ({ get up(): boolean { throw new Error('getter'); }, offloads: 'yes', keep: 7, uid: 'root' }),
  ).map((make) => make()),
);

function detached(): Uint8Array {
  const bytes = new Uint8Array(32);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
}

function attempt(call: () => unknown): void {
  try {
    call();
  } catch (e) {
    if (!(e instanceof Error)) throw e;
  }
}

type Loose = Record<string, (...args: unknown[]) => unknown>;

test('functions: random arguments', (t) => {
  // Those that could act on the machine with an accidentally valid argument (closeFd, dropPrivileges, opening and
  // configuring interfaces) have their own tests below.
  const loose = native as unknown as Loose;
  const names = ['checksum', 'segment', 'adviseHugePages', 'wakeFd', 'hsVersion'];
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.array(anything, { maxLength: 8 }), (name, args) => {
      attempt(() => loose[name](...args));
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

test('classes: random arguments to constructors and methods', (t) => {
  const loop = new native.IoLoop(new Uint8Array(1 << 18), new Int32Array(64), new Int32Array(64), 2);
  const db = native.HsDatabase.compile([{ id: 1, expression: 'a', flags: 0 }]);
  const regex = new native.Pcre('(a)(b)?', 0);
  const objects: [object, string[]][] = [
    [loop, ['addPort', 'removePort', 'portError', 'flush']],
    [db, ['scan', 'serialize']],
    [regex, ['exec']],
  ];
  const calls = objects.flatMap(([object, names]) => names.map((name) => [object as Loose, name] as const));
  const constructors = [native.IoLoop, native.HsDatabase, native.Pcre] as unknown as (new (...a: unknown[]) => unknown)[];
  const statics = native.HsDatabase as unknown as Loose;
  fc.assert(
    fc.property(fc.constantFrom(...calls), fc.array(anything, { maxLength: 6 }), ([object, name], args) => {
      attempt(() => object[name](...args));
      for (const C of constructors) attempt(() => new C(...args));
      attempt(() => statics.compile(...args));
      attempt(() => statics.deserialize(...args));
    }),
    { numRuns: 1500 },
  );
  loop.close();
  t.pass();
});

test('methods refuse foreign receivers', (t) => {
  const methods: [object, string][] = [
    [native.IoLoop.prototype, 'rx'],
    [native.IoLoop.prototype, 'flush'],
    [native.HsDatabase.prototype, 'scan'],
    [native.Pcre.prototype, 'exec'],
  ];
  const foreign = [{}, new native.Pcre('a', 0), native.HsDatabase.compile([{ id: 1, expression: 'a', flags: 0 }])];
  for (const [prototype, name] of methods) {
    for (const self of [...foreign, Object.create(prototype) as object, prototype]) {
      if (Object.getPrototypeOf(self) === prototype && foreign.includes(self)) continue;
      t.throws(() => (prototype as Loose)[name].call(self, 0), { instanceOf: TypeError }, name);
    }
  }
});

test('bounds of a window', (t) => {
  const bytes = new Uint8Array(10);
  for (const [off, len] of [[-1, 1], [0, 11], [11, 0], [5, 6], [0, -1], [0.5, 1], [NaN, 1], [2 ** 40, 1]]) {
    t.throws(() => native.checksum(bytes, off, len, 0), { instanceOf: RangeError }, `${off} ${len}`);
  }
  t.is(native.checksum(bytes, 10, 0, 0), 0);
  t.throws(() => native.checksum(bytes, 0, 1, -1), { instanceOf: RangeError });
  t.throws(() => native.checksum(new Int8Array(4) as unknown as Uint8Array, 0, 1, 0), { instanceOf: TypeError });
});

test('IoLoop: tables too small, shrinkable or transferred away', (t) => {
  const arena = (): Uint8Array => new Uint8Array(1 << 18);
  const table = (n = 64): Int32Array => new Int32Array(n);
  t.throws(() => new native.IoLoop(new Uint8Array(65536), table(), table(), 2), { instanceOf: RangeError });
  t.throws(() => new native.IoLoop(arena(), table(31), table(), 2), { instanceOf: RangeError });
  t.throws(() => new native.IoLoop(arena(), table(), table(3), 2), { instanceOf: RangeError });
  t.throws(() => new native.IoLoop(arena(), table(), table(), 0), { instanceOf: RangeError });
  t.throws(() => new native.IoLoop(arena(), table(), table(), 100_000), { instanceOf: RangeError });
  const shrinkable = new Uint8Array(new Resizable(1 << 18, { maxByteLength: 1 << 19 }));
  t.throws(() => new native.IoLoop(shrinkable, table(), table(), 2), { message: /resizable/ });
  for (const which of [0, 1, 2]) {
    const tables: [Uint8Array<ArrayBuffer>, Int32Array<ArrayBuffer>, Int32Array<ArrayBuffer>] = [
      new Uint8Array(1 << 18), new Int32Array(64), new Int32Array(64),
    ];
    const loop = new native.IoLoop(...tables, 2);
    t.is(loop.rx(0), 0);
    structuredClone(0, { transfer: [tables[which].buffer] });
    t.throws(() => loop.rx(0), { message: /transferred/ });
    t.throws(() => loop.flush(1), { message: /transferred/ });
    loop.close();
  }
});

test('ports and interfaces: names, options and errors of the kernel', (t) => {
  const { openTap, openPacket, configureInterface, closeFd } = native;
  for (const name of ['', 'sixteen-letters!', 'a/b', 'a b', 'a:b', '.', '..', 'a\0b', '\u20ac']) {
    t.throws(() => openTap(name), { instanceOf: Error }, name);
    t.throws(() => openPacket(name), { instanceOf: Error }, name);
    t.throws(() => configureInterface(name, { up: true }), { instanceOf: Error }, name);
  }
  t.throws(() => openTap('dbx0', { offloads: 1 as unknown as boolean }), { instanceOf: TypeError });
  t.throws(() => openTap('dbx0', { offloads: false, uso: true }), { instanceOf: RangeError });
  t.throws(() => openTap('dbx0', 'x' as unknown as object), { instanceOf: TypeError });
  t.throws(() => configureInterface('dbx0', { mtu: 67 }), { instanceOf: RangeError });
  t.throws(() => configureInterface('dbx0', { mac: '02:00:00:00:00:0g' }), { instanceOf: RangeError });
  t.throws(() => configureInterface('dbx0', undefined as unknown as object), { instanceOf: TypeError });
  const missing = t.throws(() => openPacket('dbnosuchif')) as NodeJS.ErrnoException;
  t.is(missing.code, 'ENODEV');
  t.is(missing.errno, -19);
  t.regex(missing.message, /^ENODEV: .*dbnosuchif/);
  t.throws(() => closeFd(1), { instanceOf: RangeError });
  t.throws(() => closeFd(1 << 30), { code: 'EBADF' });
});

test('dropPrivileges: arguments are checked before anything is dropped', (t) => {
  const drop = native.dropPrivileges as (options: unknown) => number;
  for (const bad of [undefined, 7, { keep: 'cap_net_admin' }, { keep: ['cap_sys_admin'] }, { uid: -1 }, { gid: 2 ** 32 }]) {
    t.throws(() => drop(bad), { instanceOf: Error });
  }
});
