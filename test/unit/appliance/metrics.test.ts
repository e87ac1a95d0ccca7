/** The Prometheus text: strict syntax, the values of the counters, the accounting equation. */
import test from 'ava';
import { createRegistry } from '../../../src/appliance/metrics/metrics.js';
import { Counters, DropReason, G_ALERTS_BLOCKED, G_FLOWS_ACTIVE, P_CONSUMED, P_FORWARDED, P_RX_FRAMES } from '../../../src/pipeline/index.js';
import { parseMetrics, total } from '../../helpers/drawbridge.js';

test('metrics: text format, labels, sums', async (t) => {
  const counters = new Counters(2);
  const registry = createRegistry({ counters, portNames: ['a"0', 'b0'], vmNames: ['vm\\a', ''], flowCapacity: 100, macCapacity: 10, version: '1.2.3', files: null, flowFilesDropped: () => 0, drivers: null });
  counters.addPort(0, P_RX_FRAMES, 10);
  counters.addPort(0, P_FORWARDED, 6);
  counters.addPort(0, P_CONSUMED, 1);
  counters.drop(0, DropReason.ips_rule);
  counters.drop(0, DropReason.ips_rule);
  counters.drop(0, DropReason.firewall_deny);
  counters.set(G_FLOWS_ACTIVE, 25);
  counters.set(G_ALERTS_BLOCKED, 4);
  counters.latency(7);
  counters.latency(70);
  counters.latency(1e9);
  for (const scrape of [1, 2]) {
    const samples = parseMetrics(await registry.metrics());
    const of = (name: string): number => total(samples, `drawbridge_${name}_total`, { port: 'a\\"0' });
    t.is(of('received_frames'), 10, `scrape ${scrape}`);
    t.is(of('received_frames'), of('forwarded_frames') + of('consumed_frames') + of('dropped_frames'));
    t.is(total(samples, 'drawbridge_dropped_frames_total', { vm: 'vm\\\\a', reason: 'ips_rule' }), 2);
    t.is(total(samples, 'drawbridge_alerts_total', { action: 'blocked' }), 4);
    t.is(total(samples, 'drawbridge_table_fill_ratio', { table: 'flows' }), 0.25);
    t.is(total(samples, 'drawbridge_build_info', { version: '1.2.3' }), 1);
    const bucket = (le: string): number => total(samples, 'drawbridge_batch_duration_seconds_bucket', { le });
    t.deepEqual([bucket('0.00001'), bucket('0.0001'), bucket('0.025'), bucket('+Inf')], [bucket('0.00001'), 2, 2, 3]);
    t.is(total(samples, 'drawbridge_batch_duration_seconds_count'), 3);
    t.true(Math.abs(total(samples, 'drawbridge_batch_duration_seconds_sum') - 1000.000077) < 1e-6);
  }
});
