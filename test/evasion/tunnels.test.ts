/** Packets inside tunnels: what connection tracking refuses outside is refused there too, and depth has a limit. */
import test from 'ava';
import { Lab } from '../helpers/evasion-lab.js';
import { addresses, ethernet, ipv4, tcpSegment } from '../helpers/wire.js';

function tunnelled(lab: Lab, flags: number, depth = 1): void {
  let packet = ipv4(addresses(0), { proto: 6 }, tcpSegment(addresses(0), { srcPort: 5555, dstPort: 80, seq: 1, ack: 1, flags }));
  for (let i = 0; i < depth; i++) packet = ipv4(addresses(0), { proto: 4 }, packet);
  lab.put(0, ethernet(0, packet));
}

const ACK = 16;
const SYN = 2;

test('an inner segment without a connection is dropped where tunnels are strict', (t) => {
  const strict = new Lab({ settings: { strictTunnels: true } });
  tunnelled(strict, SYN);
  t.is(strict.delivered.length, 1, 'an inner SYN opens a connection');
  tunnelled(strict, 0);
  t.is(strict.delivered.length, 1);
  t.is(strict.drops['ct_invalid_flags'], 1);
  strict.close();
  const lax = new Lab({ settings: { strictTunnels: false } });
  tunnelled(lax, ACK);
  t.is(lax.delivered.length, 1);
  lax.close();
});

test('tunnels beyond the allowed depth are dropped', (t) => {
  for (const [allowed, depth, delivered] of [[0, 1, 0], [1, 1, 1], [1, 2, 0], [4, 2, 1]] as const) {
    const lab = new Lab({ settings: { maxTunnelDepth: allowed } });
    tunnelled(lab, SYN, depth);
    t.is(lab.delivered.length, delivered, `${depth} of ${allowed}`);
    if (delivered === 0) t.is(lab.drops['flow_tunnel_depth'], 1);
    lab.close();
  }
});
