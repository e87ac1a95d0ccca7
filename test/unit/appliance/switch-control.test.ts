/** What operators may ask of the switch, and nonsense: the data plane goes on whatever comes over the socket. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as fc from 'fast-check';
import { keepApproval, readApprovals } from '../../../src/appliance/approvals.js';
import { registryOf } from '../../../src/appliance/build.js';
import { parseConfig } from '../../../src/appliance/config/load.js';
import { settingsOf } from '../../../src/appliance/engine-settings.js';
import { Session } from '../../../src/appliance/session.js';
import { SwitchControl, type SwitchRequest } from '../../../src/appliance/switch-control.js';
import { MemoryPort } from '../../../src/vswitch/index.js';
import { MAC_A, MAC_B, arp, udp } from '../vswitch/harness.js';

function rig(): { control: SwitchControl; session: Session; ports: MemoryPort[]; close: () => void } {
  const config = parseConfig('c.yaml', 'ports: [{ name: a, type: tap, device: a }, { name: b, type: tap, device: b }]\n').config!;
  const settings = settingsOf(config);
  const ports = [new MemoryPort(), new MemoryPort()];
  const session = new Session({
    settings,
    ports: [
      { config: { name: 'a', mac: MAC_A, security: { spoofGuard: { mode: 'approve' } } }, port: ports[0]!, vm: 0, ips: 'off', failOpenEngine: false, failOpenSanity: false },
      { config: { name: 'b', mac: MAC_B, vlan: { mode: 'trunk', native: 1, allowed: [1, 2] }, security: { discovery: {} } }, port: ports[1]!, vm: -1, ips: 'off', failOpenEngine: false, failOpenSanity: false },
    ],
    vmNames: ['web'],
    vmPolicies: [null],
    firewall: null,
    rules: null,
    registry: registryOf(settings),
    events: { sink: { write: () => undefined, flush: () => undefined, close: () => undefined }, types: new Set(), packetSource: 'wire', dropsPerSecond: 0 },
    seed: 1,
    onEngineError: () => undefined,
  });
  const control = new SwitchControl(session, ['a', 'b'], ['web', '']);
  return {
    control,
    session,
    ports,
    close: () => {
      control.close();
      session.close();
    },
  };
}

test('approvals: by port and VLAN, normalised, restored, and refused with the reason', (t) => {
  const { control, session, ports, close } = rig();
  t.deepEqual(control.answer({ op: 'approve', port: 'a', ip: 'FD00:0::1' }, 10).approval, { port: 'a', ip: 'fd00::1', vlan: 1 });
  t.regex(control.answer({ op: 'approve', port: 'b', ip: '10.0.0.1' }, 10).lines[0]!, /several VLANs/);
  t.regex(control.answer({ op: 'approve', port: 'b', ip: '10.0.0.1', vlan: 9 }, 10).lines[0]!, /not in VLAN 9/);
  t.true(control.answer({ op: 'approve', port: 'b', ip: '10.0.0.1', vlan: 2 }, 10).ok);
  t.regex(control.answer({ op: 'revoke', port: 'a', ip: '10.9.9.9' }, 10).lines[0]!, /does not have 10\.9\.9\.9/);
  t.deepEqual(control.restore([{ port: 'a', ip: '10.0.0.7', vlan: 1 }, { port: 'gone', ip: '10.0.0.8', vlan: 1 }], 10), ['approval of 10.0.0.8 on port gone: there is no port "gone"; known: a, b']);
  ports[0]!.put(udp(MAC_B, MAC_A, { src: '10.0.0.7' }));
  ports[0]!.put(arp(MAC_A, MAC_A, '10.0.0.9'));
  session.step(0);
  session.publish();
  const [port] = control.answer({ op: 'ports', port: 'a' }, 10).rows!;
  t.like(port, { port: 'a', vm: 'web', state: 'up', rx_frames: 2, forwarded: 1, dropped: 1, drops: { port_address_unapproved: 1 } });
  t.deepEqual(control.answer({ op: 'addresses', port: 'a' }, 10).rows!.map((row) => [row['ip'], row['state']]), [['fd00::1', 'approved'], ['10.0.0.7', 'approved'], ['10.0.0.9', 'discovered']]);
  close();
});

test('captures end by themselves, and there are few of them', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'db-captures-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const { control, session, ports, close } = rig();
  const capture = (name: string, seconds: number): string => control.answer({ op: 'capture', file: join(dir, name), seconds }, 100).lines[0]!;
  t.regex(capture('0', 0), /1 to 3600 seconds/);
  for (let i = 0; i < 4; i++) t.regex(capture(`${i}.pcap`, 10), /capturing/);
  t.regex(capture('5.pcap', 10), /4 captures run already/);
  t.regex(capture('0.pcap', 10), /already/);
  ports[0]!.put(arp(MAC_A, MAC_A, '0.0.0.0'));
  session.step(0);
  t.is(session.switch.observers.length, 4);
  control.maintain(200);
  t.is(session.switch.observers.length, 0);
  t.true(readFileSync(join(dir, '0.pcap')).length > 24);
  t.regex(control.answer({ op: 'capture-stop', file: join(dir, '0.pcap') }, 201).lines[0]!, /any more/);
  t.regex(control.answer({ op: 'capture', file: join(dir, 'none/such'), filter: 'frob', seconds: 5 }, 1).lines[0]!, /frob/);
  t.false(existsSync(join(dir, 'none')));
  close();
});

test('whatever is asked, there is an answer', (t) => {
  const { control, close } = rig();
  const ops = fc.constantFrom('ports', 'macs', 'addresses', 'approve', 'revoke', 'state', 'effective-mac', 'capture-stop', 'other');
  const value = fc.oneof(fc.constantFrom('a', 'b', '10.0.0.1', 'up'), fc.string(), fc.integer(), fc.constant(null), fc.constant(undefined), fc.object());
  fc.assert(
    fc.property(fc.record({ op: ops, port: value, ip: value, vlan: value, state: value, mac: value, file: value }), (request) => {
      const answer = control.answer(request as unknown as SwitchRequest, 5);
      return answer.ok || answer.lines.length > 0;
    }),
  );
  t.pass();
  close();
});

test('the file of approvals: kept, replaced whole, and no other file is taken for one', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'db-approvals-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'approvals.json');
  t.deepEqual(readApprovals(file), []);
  const [one, two] = [{ port: 'a', ip: '10.0.0.1', vlan: 1 }, { port: 'a', ip: '10.0.0.2', vlan: 1 }];
  keepApproval(file, one, true);
  keepApproval(file, one, true);
  keepApproval(file, two, true);
  t.deepEqual(readApprovals(file), [one, two]);
  keepApproval(file, one, false);
  t.deepEqual(readApprovals(file), [two]);
  for (const text of ['{', '{}', '[{"port":"a"}]', '[null]']) {
    writeFileSync(file, text);
    t.throws(() => readApprovals(file), { message: /approvals\.json: / });
  }
});
