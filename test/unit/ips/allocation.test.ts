import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';

/**
 * Runs in a process of its own, so that neither ava nor another test allocates in between: an engine with rules of every
 * sweep judges packets on which nothing matches (among them prefilter hits that are judged and refused), and the growth of
 * the heap is divided by the packets.
 */
const script = `
  const { engine, newFlow, packet, feed } = await import(process.argv[1]);
  const { ips, events } = engine(\`
    alert tcp any any -> any any (content:"attack"; content:"never"; distance:0; sid:1;)
    alert tcp any any -> any 81 (flags:S; sid:2;)
    alert tcp-pkt any any -> any any (content:"part"; byte_test:1,>,200,0,relative; sid:3;)
    alert udp any any -> any any (content:"part"; pcre:"/x{3}y/"; sid:4;)
    alert tcp any any -> any any (flowbits:isset,never; content:"part"; sid:5;)
    alert ip 1.2.3.4 any -> any any (sid:6;)
    alert http any any -> any any (http.uri; content:"never"; sid:7;)
  \`);
  const tcp = newFlow(), udp = newFlow(17), web = newFlow(6, 1);
  feed(tcp, 0, 'a part of the stream'.repeat(50));
  const views = [
    [packet({ payload: 'a part of it' }), tcp], [packet({ payload: 'x part', dir: 1 }), tcp],
    [packet({ proto: 17, payload: 'a part of it' }), udp], [packet({ payload: 'other' }), web], [packet({ payload: 'part' }), null],
  ];
  const run = (rounds) => {
    for (let round = 0; round < rounds; round++) for (let i = 0; i < views.length; i++) {
      const flow = views[i][1];
      // New bytes each time: the scanned mark is set back.
      if (flow === tcp && flow.detect !== null) { flow.detect.scanned[0] = 0; }
      ips.inspect(views[i][0], flow);
    }
    return rounds * views.length;
  };
  run(60000);
  globalThis.gc();
  const before = process.memoryUsage().heapUsed;
  const done = run(100000);
  console.log(JSON.stringify({ perPacket: (process.memoryUsage().heapUsed - before) / done, alerts: events.alerts.length, checks: ips.counters.checks }));
`;

test('judging packets on which nothing matches allocates nothing', (t) => {
  const helper = fileURLToPath(new URL('helper.js', import.meta.url));
  const out = execFileSync(process.execPath, ['--expose-gc', '--max-semi-space-size=64', '--input-type=module', '-e', script, helper], { encoding: 'utf8' });
  const { perPacket, alerts, checks } = JSON.parse(out) as { perPacket: number; alerts: number; checks: number };
  t.is(alerts, 0);
  t.true(checks > 100_000, 'rules were judged');
  t.true(perPacket < 1, `${perPacket} bytes per packet`);
});
