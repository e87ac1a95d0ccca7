/** Whom a reject rule resets, and a policy that changes between two frames: through a whole session. */
import test, { type ExecutionContext } from 'ava';
import { registryOf } from '../../../src/appliance/build.js';
import { replaySettings } from '../../../src/appliance/engine-settings.js';
import { compileRules, compileRulesInSteps } from '../../../src/appliance/rule-files.js';
import { Session } from '../../../src/appliance/session.js';
import { finish, selectRules, type RuleSet } from '../../../src/ips/index.js';
import { TCP_ACK, TCP_PSH, TCP_RST, TCP_SYN, finishIpv4, parseIp, parseMac, putEthernet, putIpv4, putTcp } from '../../../src/packet/index.js';
import { MemoryPort } from '../../../src/vswitch/index.js';

const CLIENT = 0;
const SERVER = 1;
const HOSTS = [
  { text: '02:00:00:00:00:01', mac: parseMac('02:00:00:00:00:01'), ip: parseIp('10.0.0.1').words[0]! },
  { text: '02:00:00:00:00:02', mac: parseMac('02:00:00:00:00:02'), ip: parseIp('10.0.0.2').words[0]! },
];
const SETTINGS = { ...replaySettings(), enforce: true, streamInline: true };
const REGISTRY = registryOf(SETTINGS);

const compile = (text: string): RuleSet => compileRules([{ file: 'my.rules', text }], REGISTRY, SETTINGS);

class Rig {
  readonly ports = [new MemoryPort(), new MemoryPort()];
  readonly session: Session;
  readonly alerts: { sid: number; action: string; generation: number }[] = [];
  #usec = 0;

  constructor(t: ExecutionContext, readonly rules: RuleSet) {
    const write = (line: string): void => {
      const e = JSON.parse(line) as { event_type: string; generation: number; alert: { signature_id: number; action: string } };
      if (e.event_type === 'alert') this.alerts.push({ sid: e.alert.signature_id, action: e.alert.action, generation: e.generation });
    };
    this.session = new Session({
      settings: SETTINGS,
      ports: HOSTS.map(({ text }, i) => ({ config: { name: `p${i}`, mac: text }, port: this.ports[i]!, vm: i, ips: 'prevent', failOpenEngine: false, failOpenSanity: false })),
      vmNames: ['client', 'server'],
      vmPolicies: [null, null],
      firewall: null,
      rules,
      registry: REGISTRY,
      events: { sink: { write, flush: () => undefined, close: () => undefined }, types: new Set(['alert']), packetSource: 'wire', dropsPerSecond: 0 },
      seed: 7,
      onEngineError: (text) => t.fail(text),
    });
    t.teardown(() => this.session.close());
  }

  /** @returns TCP flags of the frames that came out at both ends */
  send(from: number, seq: number, ack: number, flags: number, payload = ''): [number[], number[]] {
    const buf = new Uint8Array(2048);
    const [a, b] = [HOSTS[from]!, HOSTS[1 - from]!];
    const l3 = putEthernet(buf, 0, b.mac.hi, b.mac.lo, a.mac.hi, a.mac.lo, 0x0800);
    const data = putTcp(buf, putIpv4(buf, l3, a.ip, b.ip, 6, 64), from === CLIENT ? 40_000 : 80, from === CLIENT ? 80 : 40_000, seq, ack, flags, 60_000);
    buf.set(Buffer.from(payload), data);
    finishIpv4(buf, l3, data + payload.length);
    this.#usec += 1000;
    this.ports[from]!.put({ bytes: buf.slice(0, data + payload.length), tsSec: 1_700_000_000, tsUsec: this.#usec });
    while (this.session.step(0) > 0);
    return [CLIENT, SERVER].map((port) => this.ports[port]!.take().map((bytes) => bytes[47]!)) as [number[], number[]];
  }

  open(): void {
    this.send(CLIENT, 100, 0, TCP_SYN);
    this.send(SERVER, 500, 101, TCP_SYN | TCP_ACK);
    this.send(CLIENT, 101, 501, TCP_ACK);
  }
}

const RST_ACK = TCP_RST | TCP_ACK;

test('reject, rejectsrc, rejectdst and rejectboth reset whom they say', (t) => {
  const cases: [string, number, number][] = [['reject', 1, 1], ['rejectsrc', 1, 0], ['rejectdst', 0, 1], ['rejectboth', 1, 1], ['drop', 0, 0]];
  for (const [action, client, server] of cases) {
    const rig = new Rig(t, compile(`${action} tcp any any -> any any (flow:established,to_server; content:"attack"; sid:1;)`));
    rig.open();
    const [toClient, toServer] = rig.send(CLIENT, 101, 501, TCP_PSH | TCP_ACK, 'an attack');
    t.is(toClient.filter((flags) => (flags & TCP_RST) !== 0).length, client, `${action}: client`);
    t.deepEqual(toServer, server === 1 ? [RST_ACK] : [], `${action}: the server sees no data`);
    t.deepEqual(rig.alerts.map((alert) => alert.action), ['blocked']);
  }
});

test('the policy changes between two frames of a connection', (t) => {
  const FIRST = 'drop tcp any any -> any any (flow:established,to_server; content:"first"; sid:1;)';
  const SECOND = 'drop tcp any any -> any any (flow:established,to_server; content:"second"; sid:2;)';
  const rig = new Rig(t, compile(FIRST));
  rig.open();
  t.is(rig.send(CLIENT, 101, 501, TCP_PSH | TCP_ACK, 'a second').at(1)!.length, 1, 'nothing against it');
  const rules = finish(compileRulesInSteps([{ file: 'my.rules', text: SECOND }], REGISTRY, SETTINGS, { generation: 2, previous: rig.rules }));
  const port = { ips: 'prevent', failOpenEngine: false, failOpenSanity: false } as const;
  const next = { generation: 2, rules, rulePolicies: new Map(), web: null, firewall: null, vmPolicies: [null, null], ports: [port, port] };
  rig.session.replacePolicy(next);
  t.is(rig.send(CLIENT, 109, 501, TCP_PSH | TCP_ACK, 'a first').at(1)!.length, 1, 'the rule is gone');
  t.is(rig.send(CLIENT, 116, 501, TCP_PSH | TCP_ACK, ' the second').at(1)!.length, 0, 'the connection is known, the rule new');
  t.deepEqual(rig.alerts, [{ sid: 2, action: 'blocked', generation: 2 }]);
  t.throws(() => rig.session.replacePolicy({ ...next, generation: 3, ports: [{ ...port, rulePolicy: 'nobody' }, port] }), { message: /nobody/ });
  t.is(rig.session.generation, 2, 'a snapshot that contradicts itself changes nothing');
  const quiet = selectRules(rules, { base: 'none', rules: [] });
  rig.session.replacePolicy({ ...next, generation: 4, rulePolicies: new Map([['none', quiet]]), ports: [{ ...port, rulePolicy: 'none' }, { ...port, rulePolicy: 'none' }] });
  t.is(rig.session.generation, 4);
});
