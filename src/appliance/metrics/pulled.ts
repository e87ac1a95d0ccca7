/** Metrics whose value is fetched on each scrape. */
import type { Metric, Registry } from 'prom-client';

export function pulled<M extends Metric>(metric: M, registry: Registry, collect: (metric: M) => void): void {
  (metric as unknown as { collect: () => void }).collect = () => collect(metric);
  registry.registerMetric(metric);
}
