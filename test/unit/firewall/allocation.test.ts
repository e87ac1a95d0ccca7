import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';

/**
 * Runs in a process of its own, so that neither ava nor another test allocates in between: new, established, denied and
 * invalid packets are judged and observed after a warm-up, and the growth of the heap is divided by them.
 */
const script = `
  const [, library, frames] = process.argv;
  const { Firewall, FirewallState, parseFirewall, Rejecter } = await import(library + 'firewall/index.js');
  const { FlowTable } = await import(library + 'flow/index.js');
  const { FrameBatch } = await import(library + 'packet/index.js');
  const { packet } = await import(frames);
  const rules = [
    { name: 'a', action: 'allow', direction: 'in', protocol: 'tcp', source: '10.0.0.0/8', destination: { port: [80, 443] }, schedule: 's' },
    { name: 'd', action: 'deny', direction: 'in', source: ['10.9.0.0-10.9.3.1', '2001:db8::/33'], destination: { port: { not: 80 } } },
    { name: 'l', action: 'log-only', direction: 'in', protocol: 'icmp' },
    { name: 'o', action: 'deny', direction: 'out', tcp_flags: 'none' },
  ];
  const { policy, problems } = parseFirewall({ schedules: { s: 'mon-sun' }, policies: { p: { rules, stateful: { max_incoming_per_peer: 5 } } }, recon: { block_seconds: 1 } });
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  const flows = new FlowTable({ capacity: 1024, seed: 1 });
  const state = new FirewallState(flows, 1);
  const firewall = new Firewall(policy, ['p', 'p'], 1, state, { logged() {}, wouldDrop() {} });
  const batch = new FrameBatch(4);
  const rejecter = new Rejecter({ perSecond: 0 });
  const views = [];
  for (let i = 0; i < 64; i++) {
    const six = i % 4 === 0;
    views.push(packet({ src: six ? '2001:db8::' + i : '10.' + i + '.0.1', dst: six ? '2001:db8:1::1' : '10.200.0.1', proto: i % 3 === 0 ? 'udp' : 'tcp', dport: 75 + i, seconds: i }));
  }
  let sink = 0, done = 0;
  const run = (n) => {
    for (done = 0; done < n; ) for (let i = 0; i < views.length; i++, done++) {
      const view = views[i];
      view.reason = 0;
      view.flowId = -1;
      const state1 = 1 + (done & 3);
      const verdict = firewall.judge(view, state1, i & 1, (i & 1) ^ 1);
      sink ^= verdict + state.recon.observe(view, state1, verdict);
      view.flowId = i;
      firewall.opened(view, i & 1, (i & 1) ^ 1);
      sink ^= firewall.judge(view, 2, i & 1, (i & 1) ^ 1);
      state.closed(i);
      batch.reset();
      sink ^= rejecter.build(batch, view, true);
    }
  };
  run(200000);
  globalThis.gc();
  const before = process.memoryUsage().heapUsed;
  run(500000);
  console.log(JSON.stringify({ perPacket: (process.memoryUsage().heapUsed - before) / done, done, sink, sent: rejecter.sent }));
`;

test('judging, watching and rejecting allocate nothing', (t) => {
  const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  const out = execFileSync(process.execPath, ['--expose-gc', '--max-semi-space-size=64', '--input-type=module', '-e', script, at('../../../src/'), at('./frames.js')], { encoding: 'utf8' });
  const { perPacket, done, sent } = JSON.parse(out) as { perPacket: number; done: number; sent: number };
  t.true(done >= 500_000 && sent >= 500_000);
  t.true(perPacket < 1, `${perPacket} bytes per packet`);
});
