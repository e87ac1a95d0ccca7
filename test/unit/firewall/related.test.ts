/** Announced connections before the firewall: FTP data needs no Allow rule, and yields to a Deny. */
import test from 'ava';
import { Firewall, FirewallState, parseFirewall } from '../../../src/firewall/index.js';
import { ConnTrack, Expectations, FlowTable } from '../../../src/flow/index.js';
import { CtState, DropReason, Verdict } from '../../../src/pipeline/index.js';
import { packet } from './frames.js';

const CLIENT = '192.0.2.7';
const SERVER = '10.0.0.1';
const log = { logged: () => undefined, wouldDrop: () => undefined };
const ftp = { action: 'allow', direction: 'in', protocol: 'tcp', destination: { port: 21 } };

function policy(rules: unknown[], more: object = {}): ReturnType<typeof parseFirewall>['policy'] {
  const parsed = parseFirewall({ policies: { p: { rules, ...more } } });
  if (parsed.problems.length > 0) throw new Error(JSON.stringify(parsed.problems));
  return parsed.policy;
}

/** Announce client -> server:40021, then judge its SYN. */
function judgeData(rules: unknown[], more?: object): { verdict: number; reason: number; again: (next: unknown[]) => number } {
  const flows = new FlowTable({ capacity: 1024, seed: 1 });
  const expectations = new Expectations();
  const track = new ConnTrack(flows, { expectations });
  const state = new FirewallState(flows, 1);
  const firewall = new Firewall(policy(rules, more), ['p'], 1, state, log);
  expectations.aim(packet({ src: CLIENT, dst: SERVER, sport: 50_000, dport: 21 }));
  expectations.admit('ftp-passive', 'client', 40_021);
  const syn = { src: CLIENT, dst: SERVER, sport: 50_001, dport: 40_021 };
  const view = packet(syn);
  const ct = track.lookup(view);
  const verdict = firewall.judge(view, ct, -1, 0);
  if (ct !== CtState.RELATED) throw new Error('not related');
  if (verdict < Verdict.DROP) {
    track.commit(view);
    firewall.opened(view, -1, 0);
  }
  const again = (next: unknown[]): number => {
    const answer = packet({ src: SERVER, dst: CLIENT, sport: 40_021, dport: 50_001, flags: 18, seq: 7, ack: 1001 });
    return new Firewall(policy(next), ['p'], 2, state, log).judge(answer, track.lookup(answer), 0, -1);
  };
  return { verdict, reason: view.reason, again };
}

test('passes without an Allow rule of its own, also under a new policy', (t) => {
  const { verdict, again } = judgeData([ftp]);
  t.true(verdict < Verdict.DROP);
  t.true(again([ftp]) < Verdict.DROP);
});

test('a Deny rule stops it, now or later', (t) => {
  const deny = { action: 'deny', direction: 'in', protocol: 'tcp', destination: { port: '1024-65535' } };
  const now = judgeData([ftp, deny]);
  t.is(now.verdict, Verdict.DROP);
  t.is(now.reason, DropReason.firewall_deny);
  t.is(judgeData([ftp]).again([ftp, deny]), Verdict.DROP);
});
