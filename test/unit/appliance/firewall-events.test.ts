/** Drop events of firewall rules: the rule's name, and silence where the rule asks for it. */
import test from 'ava';
import { compileFirewall, registryOf } from '../../../src/appliance/build.js';
import { parseConfig } from '../../../src/appliance/config/load.js';
import { settingsOf } from '../../../src/appliance/engine-settings.js';
import { Session } from '../../../src/appliance/session.js';
import { DropReason } from '../../../src/pipeline/index.js';
import { MemoryPort } from '../../../src/vswitch/index.js';
import { MAC_A, MAC_B, tcp } from '../vswitch/harness.js';

const CONFIG = `
ports:
  - { name: a, type: tap, device: a, vm: a }
  - { name: b, type: tap, device: b, vm: b }
vms: { a: { firewall: p }, b: {} }
flow: { strict: false }
firewall:
  policies:
    p:
      rules:
        - { name: loud, action: deny, direction: out, protocol: tcp, destination: { port: 23 } }
        - { name: quiet, action: deny, log: false, direction: out, protocol: tcp, destination: { port: 135 } }
`;

test('drops by a rule name it; a rule with log: false is only counted', (t) => {
  const loaded = parseConfig('test.yaml', CONFIG);
  const config = loaded.config!;
  const settings = settingsOf(config);
  const ports = [new MemoryPort(), new MemoryPort()];
  const lines: string[] = [];
  const session = new Session({
    settings,
    ports: ports.map((port, i) => ({ config: { name: config.ports[i]!.name }, port, vm: i, ips: 'prevent', failOpenEngine: false, failOpenSanity: false })),
    vmNames: ['a', 'b'],
    vmPolicies: ['p', null],
    firewall: compileFirewall(config, loaded.yaml).policy,
    rules: null,
    registry: registryOf(settings),
    events: { sink: { write: (line) => void lines.push(line), flush: () => undefined, close: () => undefined }, types: new Set(['drop']), packetSource: 'wire', host: 'h', dropsPerSecond: 100 },
    seed: 1,
    onEngineError: (text) => t.fail(text),
  });
  ports[0]!.put(tcp(MAC_B, MAC_A, { dport: 23 }));
  ports[0]!.put(tcp(MAC_B, MAC_A, { dport: 135 }));
  session.step(0);
  t.is(session.counters.dropped(0, DropReason.firewall_deny), 2);
  const events = lines.map((line) => JSON.parse(line) as { dest_port: number; host: string; firewall: { rule: string } });
  t.deepEqual(events.map((e) => [e.dest_port, e.firewall.rule, e.host]), [[23, 'loud', 'h']]);
  session.close();
});
