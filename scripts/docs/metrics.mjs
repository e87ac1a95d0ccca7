/** docs/metrics.md from the metrics registry itself, built over an empty counter block. */
import { built, cell, code, table } from './markdown.mjs';

/** Our own metrics; those of the Node.js process come from prom-client and are only named by their prefix. */
export async function metrics() {
  const { createRegistry } = await built('appliance/metrics/metrics.js');
  const { Counters } = await built('pipeline/index.js');
  const registry = createRegistry({ counters: new Counters(1), portNames: ['port'], vmNames: ['vm'], flowCapacity: 1, macCapacity: 1, version: 'x', files: null, flowFilesDropped: () => 0, drivers: null });
  const { registerFileMetrics, observeFiles } = await built('appliance/metrics/file-metrics.js');
  registerFileMetrics(registry, () => null, () => 0);
  observeFiles(registry, null);
  const { registerDriverMetrics } = await built('appliance/metrics/driver-metrics.js');
  registerDriverMetrics(registry, () => null);
  const rows = registry
    .getMetricsAsArray()
    .filter((m) => !m.name.startsWith('drawbridge_process_'))
    .map((m) => [code(m.name), m.type, (m.labelNames ?? []).map(code).join(', '), cell(m.help)]);
  if (rows.length === 0) throw new Error('the metrics registry is empty');
  return table(['metric', 'type', 'labels', 'meaning'], rows);
}
