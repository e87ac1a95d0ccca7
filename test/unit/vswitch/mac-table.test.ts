import test from 'ava';
import fc from 'fast-check';
import { MacTable } from '../../../src/vswitch/index.js';

/** The obvious table: entries in an array, newest use last. */
class Model {
  entries: { vlan: number; mac: number; port: number; seen: number; fixed: boolean }[] = [];
  constructor(
    readonly size: number,
    readonly age: number,
    readonly ports: number,
  ) {}

  find(vlan: number, mac: number) {
    return this.entries.find((e) => e.vlan === vlan && e.mac === mac);
  }
  lookup(vlan: number, mac: number, now: number): number {
    const e = this.find(vlan, mac);
    return e === undefined || (!e.fixed && now - e.seen > this.age) ? -1 : e.port;
  }
  makeRoom(): boolean {
    if (this.entries.length < this.size) return true;
    const held = Array.from({ length: this.ports }, (_, p) => this.entries.filter((e) => !e.fixed && e.port === p).length);
    const victim = this.entries.find((e) => !e.fixed && e.port === held.indexOf(Math.max(...held)));
    if (victim === undefined) return false;
    this.entries.splice(this.entries.indexOf(victim), 1);
    return true;
  }
  learn(vlan: number, mac: number, port: number, now: number): void {
    const e = this.find(vlan, mac);
    if (e?.fixed) return;
    if (e !== undefined) {
      if (e.port === port && e.seen === now) return;
      this.entries.splice(this.entries.indexOf(e), 1);
    } else if (!this.makeRoom()) return;
    this.entries.push({ vlan, mac, port, seen: now, fixed: false });
  }
  addStatic(vlan: number, mac: number, port: number): void {
    const e = this.find(vlan, mac);
    if (e !== undefined) this.entries.splice(this.entries.indexOf(e), 1);
    else if (!this.makeRoom()) return;
    this.entries.push({ vlan, mac, port, seen: 0, fixed: true });
  }
  expire(now: number): void {
    this.entries = this.entries.filter((e) => e.fixed || now - e.seen <= this.age);
  }
  flushPort(port: number): void {
    this.entries = this.entries.filter((e) => e.fixed || e.port !== port);
  }
}

const vlan = fc.integer({ min: 1, max: 2 });
const mac = fc.integer({ min: 1, max: 30 });
const port = fc.integer({ min: 0, max: 3 });
const step = fc.oneof(
  { weight: 12, arbitrary: fc.tuple(fc.constant('learn' as const), vlan, mac, port, fc.integer({ min: 0, max: 5 })) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('static' as const), vlan, mac, port, fc.constant(0)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('expire' as const), vlan, mac, port, fc.integer({ min: 0, max: 12 })) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('flush' as const), vlan, mac, port, fc.constant(0)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('clearStatic' as const), vlan, mac, port, fc.constant(0)) },
);

test('behaves like the obvious table', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), fc.integer(), (steps, seed) => {
      const table = new MacTable(4, { size: 10, ageSec: 15, seed });
      const model = new Model(10, 15, 4);
      let now = 100;
      for (const [what, v, m, p, dt] of steps) {
        now += dt;
        if (what === 'learn') {
          table.learn(v, 0x0200, m, p, now);
          model.learn(v, m, p, now);
        } else if (what === 'static') {
          table.addStatic(v, 0x0200, m, p);
          model.addStatic(v, m, p);
        } else if (what === 'expire') {
          table.expire(now);
          model.expire(now);
        } else if (what === 'flush') {
          table.flushPort(p);
          model.flushPort(p);
        } else {
          table.clearStatic();
          model.entries = model.entries.filter((e) => !e.fixed);
        }
        t.is(table.count, model.entries.length);
        for (let q = 0; q < 4; q++) t.is(table.portCount(q), model.entries.filter((e) => !e.fixed && e.port === q).length);
        for (let v2 = 1; v2 <= 2; v2++) for (let m2 = 1; m2 <= 30; m2++) if (table.lookup(v2, 0x0200, m2, now) !== model.lookup(v2, m2, now)) t.fail(`lookup ${v2} ${m2}`);
      }
      const listed: string[] = [];
      table.forEach((v, hi, lo, p) => listed.push(`${v} ${hi} ${lo} ${p}`));
      t.deepEqual(listed.sort(), model.entries.map((e) => `${e.vlan} 512 ${e.mac} ${e.port}`).sort());
    }),
    { numRuns: 150 },
  );
});

test('a flood from one port evicts its own entries only', (t) => {
  const table = new MacTable(3, { size: 100 });
  for (let i = 0; i < 20; i++) table.learn(1, 0x0200, i, 0, 1);
  for (let i = 0; i < 5000; i++) table.learn(1, 0x0400, i, 1, 2);
  t.is(table.count, 100);
  t.is(table.portCount(0), 20);
  t.is(table.evicted, 5000 - 80);
  for (let i = 0; i < 20; i++) t.is(table.lookup(1, 0x0200, i, 2), 0);
});

test('a table full of static entries refuses to learn', (t) => {
  const table = new MacTable(1, { size: 10 });
  for (let i = 0; i < 10; i++) t.true(table.addStatic(1, 0, i, 0));
  t.false(table.addStatic(1, 0, 10, 0));
  table.learn(1, 0, 11, 0, 1);
  t.is(table.refused, 1);
  t.is(table.lookup(1, 0, 11, 1), -1);
});

test('bounds of the options', (t) => {
  t.throws(() => new MacTable(1, { size: 9 }), { instanceOf: RangeError, message: /10 to 1000000/ });
  t.throws(() => new MacTable(1, { size: 1_000_001 }), { instanceOf: RangeError });
  t.throws(() => new MacTable(1, { ageSec: 14 }), { instanceOf: RangeError, message: /15 to 3600/ });
  t.throws(() => new MacTable(1, { ageSec: 3601 }), { instanceOf: RangeError });
});
