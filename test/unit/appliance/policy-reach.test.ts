/** `drawbridge policy reach` as a person runs it. */
import test from 'ava';
import { join } from 'node:path';
import { drawbridge, folder } from '../../helpers/drawbridge.js';

const CONFIG = `
vms:
  web: { firewall: server }
  db: { firewall: database }
  client: {}
ports:
  - { name: web0, type: tap, device: t0, vm: web, ips: [10.0.0.10, "2001:db8::10"] }
  - { name: db0, type: tap, device: t1, vm: db, ips: [10.0.0.20] }
  - { name: client0, type: tap, device: t2, vm: client }
firewall:
  schedules: { office: "mon-fri 8-18" }
  policies:
    server:
      rules:
        - { name: https, action: allow, direction: in, protocol: tcp, destination: { port: 443 } }
        - { name: admin, action: allow, direction: in, protocol: tcp, destination: { port: 22 }, schedule: office }
    database:
      rules:
        - { name: from web, action: allow, direction: in, protocol: tcp, source: 10.0.0.10, destination: { port: 5432 } }
`;

test('yes or no, with the rule and its place in the file', async (t) => {
  const file = join(folder(t, { 'c.yaml': CONFIG }), 'c.yaml');
  const ask = (...args: string[]) => drawbridge('policy', 'reach', ...args, '-c', file);
  const yes = await ask('10.9.9.9', 'web:443');
  t.is(yes.code, 0, yes.stderr);
  t.regex(yes.stdout, /^yes {2}10\.9\.9\.9 -> web 10\.0\.0\.10, tcp port 443\n/);
  t.regex(yes.stdout, /"https" allows it \(.*c\.yaml:15\)/);
  const no = await ask('10.0.0.99', 'db:5432');
  t.is(no.code, 1);
  t.regex(no.stdout, /^no .*\n.*stops here: no rule matches, and the direction has allow rules/);
  t.is((await ask('10.0.0.50@client', 'web:22', '--at', '2026-11-22T10:00:00Z')).code, 1, 'Sunday');
  const json = JSON.parse((await ask('2001:db8::1', 'web:443', '--json')).stdout) as { reachable: boolean; steps: { rule: string | null }[] }[];
  t.deepEqual(json.map((r) => [r.reachable, r.steps[0]!.rule]), [[true, 'https']]);
});

test('questions that make no sense', async (t) => {
  const file = join(folder(t, { 'c.yaml': CONFIG }), 'c.yaml');
  for (const [args, words] of [
    [['web', 'db'], /"db" is no service/],
    [['nobody', 'db:1'], /neither a VM nor an address; VMs: web, db, client/],
    [['2001:db8::1', 'db:1'], /same IP version/],
  ] as const) {
    const r = await drawbridge('policy', 'reach', ...args, '-c', file);
    t.is(r.code, 2, args.join(' '));
    t.regex(r.stderr, words);
  }
});
