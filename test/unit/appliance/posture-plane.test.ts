/** Posture through the whole data plane: fragments and checksums never reach the rules, silent drops have no event. */
import test, { type ExecutionContext } from 'ava';
import { compileFirewall, registryOf } from '../../../src/appliance/build.js';
import { parseConfig } from '../../../src/appliance/config/load.js';
import { settingsOf } from '../../../src/appliance/engine-settings.js';
import { Session } from '../../../src/appliance/session.js';
import { DropReason } from '../../../src/pipeline/index.js';
import { MemoryPort } from '../../../src/vswitch/index.js';
import { frame, type FrameSpec } from '../firewall/frames.js';

const FROM_A: FrameSpec = { src: '10.0.0.1', dst: '10.0.0.2', smac: '02:00:00:00:00:01', dmac: '02:00:00:00:00:02' };

function plane(t: ExecutionContext, policy: string): { send: (bytes: Uint8Array) => void; session: Session; events: () => { event_type: string; drop?: { reason: string } }[]; out: () => number } {
  const loaded = parseConfig('test.yaml', `
ports:
  - { name: a, type: tap, device: a, vm: a }
  - { name: b, type: tap, device: b, vm: b }
vms: { a: { firewall: p }, b: {} }
firewall: { policies: { p: ${policy} } }
`);
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
    events: { sink: { write: (line) => void lines.push(line), flush: () => undefined, close: () => undefined }, types: new Set(['drop', 'firewall']), packetSource: 'wire', host: 'h', dropsPerSecond: 100 },
    seed: 1,
    onEngineError: (text) => t.fail(text),
  });
  t.teardown(() => session.close());
  return {
    session,
    send: (bytes) => {
      ports[0]!.put({ bytes, tsSec: 1000 });
      while (session.step(0) > 0);
    },
    events: () => lines.splice(0).map((line) => JSON.parse(line) as { event_type: string; drop?: { reason: string } }),
    out: () => ports[1]!.take().length,
  };
}

const fragment = (): Uint8Array => frame({ ...FROM_A, proto: 'udp', fragment: { offset: 0, more: true }, payload: 512 });

test('fragments: allowed, denied, denied without an event', (t) => {
  const normal = plane(t, '{}');
  normal.send(fragment());
  t.is(normal.out(), 1);
  const strict = plane(t, '{ posture: { checks: { fragment: deny } } }');
  strict.send(fragment());
  t.is(strict.out(), 0);
  t.is(strict.session.counters.dropped(0, DropReason.defrag_denied), 1);
  t.deepEqual(strict.events().map((e) => e.drop?.reason), ['defrag_denied']);
  const silent = plane(t, '{ posture: { checks: { fragment: deny-silent, zero_flags: deny } } }');
  silent.send(fragment());
  t.is(silent.session.counters.dropped(0, DropReason.defrag_denied), 1);
  t.deepEqual(silent.events(), []);
  silent.send(frame({ ...FROM_A, flags: 0 }));
  t.deepEqual(silent.events().map((e) => e.drop?.reason), ['ct_invalid_flags'], 'silence ends with its packet');
  const reported = plane(t, '{ posture: { checks: { fragment: log-only } } }');
  reported.send(fragment());
  t.is(reported.out(), 1);
  t.deepEqual(reported.events().map((e) => e.event_type), ['firewall']);
});

test('checksums: the posture decides, and without one the receiver would', (t) => {
  const damaged = (): Uint8Array => {
    const bytes = frame({ ...FROM_A, flags: 2 });
    bytes[14 + 20 + 16]! ^= 0x55;
    return bytes;
  };
  const normal = plane(t, '{}');
  normal.send(damaged());
  t.is(normal.out(), 0);
  t.is(normal.session.counters.dropped(0, DropReason.decode_checksum), 1);
  const lax = plane(t, '{ posture: {} }');
  lax.send(damaged());
  t.is(lax.out(), 1);
});

test('out of connection: dropped by normal, passed by custom as it comes', (t) => {
  for (const [policy, passed] of [['{}', 0], ['{ posture: {} }', 1], ['{ mode: tap }', 1]] as const) {
    const p = plane(t, policy);
    p.send(frame({ ...FROM_A, flags: 4, seq: 5 }));
    t.is(p.out(), passed, policy);
  }
});
