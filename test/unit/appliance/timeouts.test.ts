/** Idle timeouts: the two profiles, and values of one's own on top of either. */
import test from 'ava';
import { timeoutsOf } from '../../../src/appliance/config/timeouts.js';
import { CONNTRACK_TIMEOUTS, DEEP_SECURITY_TIMEOUTS } from '../../../src/flow/index.js';

test('profiles by name', (t) => {
  t.is(timeoutsOf('conntrack'), CONNTRACK_TIMEOUTS);
  t.is(timeoutsOf('deep-security'), DEEP_SECURITY_TIMEOUTS);
  t.deepEqual(timeoutsOf({}), CONNTRACK_TIMEOUTS);
});

test('values of one\'s own, the rest from the profile', (t) => {
  t.deepEqual(timeoutsOf({ profile: 'deep-security', tcp_established: 600, udp_new: 5 }), { ...DEEP_SECURITY_TIMEOUTS, established: 600, udpNew: 5 });
  t.deepEqual(timeoutsOf({ icmp: 0 }), { ...CONNTRACK_TIMEOUTS, icmp: 0 });
});
