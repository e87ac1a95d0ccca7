import test from 'ava';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { FrameBatch } from '../../../src/packet/index.js';
import { MemoryPort, PORT_TYPES, PortSet, createPort, portSchema, switchPortConfig, type PortDefinition } from '../../../src/vswitch/index.js';

const validate = new Ajv2020({ allErrors: true, strict: true, strictTypes: false, allowUnionTypes: true }).compile(portSchema);

test('the schema takes what the types describe', (t) => {
  const good: PortDefinition[] = [
    { name: 'vm1', type: 'tap', device: 'tap0', mac: '02:00:00:00:00:01', ips: ['10.0.0.1'], vlan: { mode: 'access', id: 10 }, security: { promiscuous: 'accept', rx: { broadcast: 100 } } },
    { name: 'c1', type: 'af-packet', interface: 'veth0', isolated: true, state: 'quarantine' },
    { name: 'up', type: 'af-packet', interface: 'eth0', role: 'uplink', vlan: { mode: 'trunk', allowed: [1, '10-20'], native: 1 } },
    { name: 'replay', type: 'pcap', read: 'in.pcap', forwardTo: 'sink' },
  ];
  for (const port of good) t.true(validate(port), JSON.stringify(validate.errors));
});

test('and refuses the rest', (t) => {
  const bad: object[] = [
    { name: 'x', type: 'tap' },
    { name: 'x', type: 'tap', device: 'a-name-that-is-too-long' },
    { name: 'x', type: 'tap', device: 'tap0', interface: 'eth0' },
    { name: 'x', type: 'memory' },
    { name: 'x', type: 'tap', device: 'tap0', mac: '02:00' },
    { name: 'x', type: 'tap', device: 'tap0', vlan: { mode: 'access' } },
    { name: 'x', type: 'tap', device: 'tap0', vlan: { mode: 'access', id: 4095 } },
    { name: 'x', type: 'tap', device: 'tap0', security: { promiscuous: true } },
    { type: 'tap', device: 'tap0' },
  ];
  for (const port of bad) t.false(validate(port), JSON.stringify(port));
});

test('registry and schema know the same types, and every option is described', (t) => {
  t.deepEqual(portSchema.oneOf.map((branch) => branch.title).sort(), Object.keys(PORT_TYPES).sort());
  for (const row of Object.values(PORT_TYPES)) for (const option of Object.values<object>(row.properties)) t.true('description' in option);
  t.throws(() => createPort({ name: 'x', type: 'toString' } as never), { instanceOf: SyntaxError, message: /known: tap, af-packet/ });
});

test('mirror ports are passive unless told otherwise', (t) => {
  t.true(switchPortConfig({ name: 'm', type: 'mirror', interface: 'eth0' }).passive);
  t.false(switchPortConfig({ name: 'm', type: 'mirror', interface: 'eth0', passive: false }).passive);
  t.is(switchPortConfig({ name: 'v', type: 'tap', device: 'tap0' }).passive, undefined);
});

test('a port set refuses a taken index, forgets removed ports and never blocks without a waker', (t) => {
  const set = new PortSet(new FrameBatch(4));
  const port = new MemoryPort();
  set.add(3, port);
  t.throws(() => set.add(3, new MemoryPort()), { instanceOf: RangeError });
  t.is(set.poll(-1), 0);
  t.is(set.get(3), port);
  set.remove(3);
  set.remove(3);
  t.is(set.get(3), undefined);
  t.is(set.wakeFd, -1);
  t.true(set.ended);
});
