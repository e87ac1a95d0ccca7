/**
 * Floods from one VM through a whole session: the connection of two others goes on and new ones open, every table stays within
 * its bound, the drops are on the attacker with their reason, and once the flood is over everything drains.
 */
import test, { type ExecutionContext } from 'ava';
import { budgetOf, compileFirewall, registryOf } from '../../../src/appliance/build.js';
import { parseConfig } from '../../../src/appliance/config/load.js';
import { settingsOf } from '../../../src/appliance/engine-settings.js';
import { Session } from '../../../src/appliance/session.js';
import { FlowState } from '../../../src/flow/index.js';
import { TCP_ACK, TCP_PSH, TCP_SYN, finishIpv4, parseIp, parseMac, putEthernet, putIpv4, putTcp } from '../../../src/packet/index.js';
import { DROP_REASONS, DropReason, G_FRAGMENTS, G_STREAM_BYTES } from '../../../src/pipeline/index.js';
import { MemoryPort, switchPortConfig, type PortDefinition } from '../../../src/vswitch/index.js';
import { FLOODS, floodFrame, type Flood } from '../../helpers/raw-frames.js';

const CONFIG = `
vms: { client: {}, server: {}, attacker: { budget: { answers_per_second: 10 } } }
ports:
  - { name: client0, type: tap, device: c, vm: client, mac: "02:00:00:00:00:01" }
  - { name: server0, type: tap, device: s, vm: server, mac: "02:00:00:00:00:02" }
  - { name: attacker0, type: tap, device: a, vm: attacker, mac: "02:00:00:00:00:66", security: { forged_transmits: accept, mac_changes: accept, rx: { broadcast: 100 } } }
flow: { max: 4096 }
defrag: { memcap: 1 MiB, max_datagrams: 400 }
switch: { mac_table_size: 500 }
`;
const CLIENT = 0;
const SERVER = 1;
const ATTACKER = 2;
const HOSTS = [
  { mac: parseMac('02:00:00:00:00:01'), ip: parseIp('10.0.0.1').words[0]! },
  { mac: parseMac('02:00:00:00:00:02'), ip: parseIp('10.0.0.2').words[0]! },
  { mac: parseMac('02:00:00:00:00:66'), ip: parseIp('10.0.0.66').words[0]! },
];

class Rig {
  readonly ports = [new MemoryPort(), new MemoryPort(), new MemoryPort()];
  readonly session: Session;
  usec = 0;
  readonly #buf = new Uint8Array(2048);

  constructor(t: ExecutionContext) {
    const loaded = parseConfig('floods.yaml', CONFIG);
    const config = loaded.config!;
    const settings = settingsOf(config);
    this.session = new Session({
      settings,
      ports: config.ports.map((entry, i) => ({ config: switchPortConfig(entry as unknown as PortDefinition), port: this.ports[i]!, vm: i, ips: 'prevent', failOpenEngine: false, failOpenSanity: false, budget: budgetOf(config, entry) })),
      vmNames: Object.keys(config.vms),
      vmPolicies: [null, null, null],
      firewall: compileFirewall(config, loaded.yaml).policy,
      rules: null,
      registry: registryOf(settings),
      events: { sink: { write: () => undefined, flush: () => undefined, close: () => undefined }, types: new Set(), packetSource: 'wire', dropsPerSecond: 0 },
      macTable: { size: config.switch.mac_table_size, ageSeconds: config.switch.mac_ageing_seconds },
      seed: 7,
      onEngineError: (text) => t.fail(text),
    });
    t.teardown(() => this.session.close());
  }

  get sec(): number {
    return 1_700_000_000 + Math.floor(this.usec / 1e6);
  }

  put(port: number, bytes: Uint8Array): void {
    this.ports[port]!.put({ bytes, tsSec: this.sec, tsUsec: this.usec % 1e6 });
  }

  run(): void {
    while (this.session.step(0) > 0);
    this.session.maintain(this.sec);
  }

  /** A TCP segment between two hosts. @returns how many frames came out at the other end */
  segment(from: number, to: number, sport: number, dport: number, seq: number, ack: number, flags: number, data = 0): number {
    const buf = this.#buf;
    const [a, b] = [HOSTS[from]!, HOSTS[to]!];
    const l3 = putEthernet(buf, 0, b.mac.hi, b.mac.lo, a.mac.hi, a.mac.lo, 0x0800);
    const end = putTcp(buf, putIpv4(buf, l3, a.ip, b.ip, 6, 64), sport, dport, seq, ack, flags, 64_000) + data;
    buf.fill(0x61, end - data, end);
    finishIpv4(buf, l3, end);
    this.ports[to]!.take();
    this.put(from, buf.slice(0, end));
    this.run();
    // Broadcasts of the flood come out as well.
    return this.ports[to]!.take().filter((f) => f.length === end && f[6] === 2 && f[11] === (a.mac.lo & 0xff) && f[23] === 6).length;
  }

  /** @returns true when the handshake came through */
  connect(sport: number): boolean {
    return (
      this.segment(CLIENT, SERVER, sport, 80, 1000, 0, TCP_SYN) === 1 &&
      this.segment(SERVER, CLIENT, 80, sport, 5000, 1001, TCP_SYN | TCP_ACK) === 1 &&
      this.segment(CLIENT, SERVER, sport, 80, 1001, 5001, TCP_ACK) === 1
    );
  }

  /** Frames `from` to `to` of a flood, half a millisecond of traffic for every 100. */
  flood(kind: Flood, from: number, to: number): void {
    const ends = { srcMac: HOSTS[ATTACKER]!.mac, dstMac: HOSTS[SERVER]!.mac, src: HOSTS[ATTACKER]!.ip, dst: HOSTS[SERVER]!.ip };
    for (let n = from; n < to; n++) {
      const len = floodFrame(kind, this.#buf, 0, n, ends);
      this.put(ATTACKER, this.#buf.slice(0, len));
      if (n % 100 === 99) {
        this.usec += 500;
        this.run();
        for (const port of this.ports) port.take();
      }
    }
    this.run();
  }

  drops(port: number): Record<string, number> {
    return Object.fromEntries(DROP_REASONS.flatMap(({ name }, r) => (r > 0 && this.session.counters.dropped(port, r) > 0 ? [[name, this.session.counters.dropped(port, r)]] : [])));
  }
}

/** What must appear on the attacker's port. */
const REASONS: Partial<Record<Flood, string>> = { syn: 'flow_half_open_budget', fragment: 'defrag_budget', arp: 'port_broadcast_rate' };
const FRAMES = 20_000;

for (const kind of FLOODS.filter((k) => k !== 'good')) {
  test(`${kind} flood: the others notice nothing, and it drains`, (t) => {
    const rig = new Rig(t);
    const { table } = rig.session;
    t.true(rig.connect(40_000));
    let seq = 1001;
    for (let n = 0; n < FRAMES; n += 1000) {
      rig.flood(kind, n, n + 1000);
      t.is(rig.segment(CLIENT, SERVER, 40_000, 80, seq, 5001, TCP_ACK | TCP_PSH, 500), 1, `data after ${n + 1000} frames`);
      seq += 500;
      t.is(rig.segment(SERVER, CLIENT, 80, 40_000, 5001, seq, TCP_ACK), 1);
      if (n % 5000 === 0) t.true(rig.connect(41_000 + n / 1000), `a new connection after ${n + 1000} frames`);
      t.true(table.byPort[ATTACKER]! <= 2048, 'its share of the flow table');
      t.true(table.halfOpenByPort[ATTACKER]! <= 410, 'its share of half-open handshakes');
      t.true(rig.session.counters.get(G_FRAGMENTS) <= 100, 'its share of fragments');
      t.true(rig.session.switch.macs.count <= 500);
    }
    t.deepEqual([rig.drops(CLIENT), rig.drops(SERVER)], [{}, {}]);
    const reason = REASONS[kind];
    if (reason !== undefined) t.true(rig.drops(ATTACKER)[reason]! > FRAMES / 4, JSON.stringify(rig.drops(ATTACKER)));
    for (const port of [CLIENT, SERVER, ATTACKER]) t.is(rig.session.counters.unaccounted(port), 0);

    for (let i = 0; i < 700; i++) {
      rig.usec += 1e6;
      rig.run();
      rig.session.switch.processBatch(rig.sec);
    }
    const left: number[] = [];
    table.forEach((id) => left.push(table.state(id)));
    t.deepEqual([...new Set(left)], [FlowState.ESTABLISHED], 'what the two others have open');
    t.is(table.byPort[ATTACKER], 0);
    t.is(table.halfOpenByPort[ATTACKER], 0);
    rig.session.publish();
    t.is(rig.session.counters.get(G_FRAGMENTS), 0);
    t.is(rig.session.counters.get(G_STREAM_BYTES), 0);
    t.is(rig.session.switch.macs.count, 3, 'the configured MACs');
    t.true(rig.connect(50_000));
  });
}

test('a VM whose rate of new flows is limited is refused above it, and no other', (t) => {
  const rig = new Rig(t);
  rig.session.table.budgets.assign([ATTACKER], { newFlowsPerSecond: 100 });
  rig.flood('udp', 0, 5000);
  t.true(rig.drops(ATTACKER)['flow_rate_budget']! > 4800);
  t.is(rig.session.counters.dropped(CLIENT, DropReason.flow_rate_budget), 0);
  t.true(rig.connect(40_000));
});
