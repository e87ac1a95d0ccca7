/** Metrics of the drivers: the server's counters, and what each driver counts itself, read when scraped. */
import { Counter, Gauge, type Metric, type Registry } from 'prom-client';
import { EVENT_KIND_NAMES, WAIT_BOUNDS_MS, type DriverServer, type DriverStats, type ServerCounters } from '../../file-events/index.js';

const COUNTERS: readonly (readonly [string, string, (c: ServerCounters) => number])[] = [
  ['driver_connections_total', 'Connections to the driver listeners.', (c) => c.connections],
  ['driver_refused_total', 'Connections refused: token, credentials, protocol, no place.', (c) => c.refused],
  ['driver_protocol_errors_total', 'Connections ended because of a malformed or forbidden frame.', (c) => c.protocolErrors],
  ['driver_too_slow_total', 'Connections ended because the driver was silent or did not read.', (c) => c.tooSlow],
  ['driver_replaced_total', 'Connections replaced by a newer one of the same VM.', (c) => c.replaced],
  ['driver_cancelled_total', 'Events that drivers answered themselves because no verdict came in time.', (c) => c.cancelled],
  ['driver_failed_total', 'Events that the verdict path could not judge; the failure policy of the mount decided.', (c) => c.failed],
  ['driver_changes_total', 'Changed directory entries told.', (c) => c.changes],
  ['driver_read_bytes_total', 'Bytes of files read through drivers or their descriptors.', (c) => c.bytesRead],
  ['driver_request_timeouts_total', 'Requests that a driver did not answer.', (c) => c.requestTimeouts],
  ['driver_descriptors_total', 'Descriptors received.', (c) => c.descriptors],
  ['driver_descriptors_refused_total', 'Descriptors that were no regular files.', (c) => c.descriptorsRefused],
];

/** What became of permission events in the guest; the sum is `events`, but for those still waiting. */
const OUTCOMES: readonly (readonly [string, keyof DriverStats])[] = [
  ['allowed', 'allowed'], ['denied', 'denied'], ['remembered', 'remembered'], ['filtered', 'filtered'], ['timeout', 'timeouts'], ['disconnected', 'disconnected'], ['overflow', 'overflows'],
];

/** @param server asked at each scrape; null without drivers */
export function registerDriverMetrics(registry: Registry, server: () => DriverServer | null): void {
  const name = (n: string): string => `drawbridge_${n}`;
  const pulled = <M extends Metric>(metric: M, collect: (m: M, s: DriverServer) => void): void => {
    (metric as unknown as { collect: () => void }).collect = () => {
      metric.reset();
      const s = server();
      if (s !== null) collect(metric, s);
    };
    registry.registerMetric(metric);
  };
  for (const [suffix, help, get] of COUNTERS) pulled(new Counter({ name: name(suffix), help, registers: [] }), (m, s) => m.inc(get(s.counters)));
  pulled(new Counter({ name: name('driver_events_total'), help: 'Events received, by kind.', labelNames: ['kind'], registers: [] }), (m, s) => {
    for (let kind = 1; kind < EVENT_KIND_NAMES.length; kind++) m.inc({ kind: EVENT_KIND_NAMES[kind]! }, s.counters.events[kind]!);
  });
  pulled(new Counter({ name: name('driver_dispositions_total'), help: 'Dispositions that processes waited for, by verdict.', labelNames: ['verdict'], registers: [] }), (m, s) => {
    m.inc({ verdict: 'allow' }, s.counters.allowed);
    m.inc({ verdict: 'deny' }, s.counters.denied);
  });
  pulled(new Gauge({ name: name('driver_connections'), help: 'Connections now, those that have not authenticated included.', registers: [] }), (m, s) => m.set(s.connectionCount));
  pulled(new Gauge({ name: name('driver_outstanding'), help: 'Events of the VM waiting for a disposition.', labelNames: ['vm'], registers: [] }), (m, s) => {
    for (const [vm, session] of s.sessions) m.set({ vm }, session.outstanding);
  });
  pulled(new Counter({ name: name('driver_guest_events_total'), help: 'Permission events in the guest by outcome, as its driver counts since it started.', labelNames: ['vm', 'outcome'], registers: [] }), (m, s) => {
    for (const [vm, { stats }] of s.sessions) if (stats !== null) for (const [outcome, key] of OUTCOMES) m.inc({ vm, outcome }, stats[key]);
  });
  pulled(new Counter({ name: name('driver_guest_lost_total'), help: 'Notifications (close-write, changes) that the guest had to drop.', labelNames: ['vm'], registers: [] }), (m, s) => {
    for (const [vm, { stats }] of s.sessions) if (stats !== null) m.inc({ vm }, stats.notificationsLost);
  });
  pulled(new Gauge({ name: name('driver_guest_resident_bytes'), help: 'Memory of the driver in the guest.', labelNames: ['vm'], registers: [] }), (m, s) => {
    for (const [vm, { stats }] of s.sessions) if (stats !== null) m.set({ vm }, stats.residentKiB * 1024);
  });
  registry.registerMetric(new DispositionWait(server) as unknown as Metric);
}

/** Finished buckets of the server; prom-client's own histogram only takes observations one by one. */
class DispositionWait {
  readonly name = 'drawbridge_driver_wait_seconds';
  readonly help = 'Time a process waited for its disposition, from the event in the guest on.';
  readonly type = 'histogram';
  readonly aggregator = 'sum';
  readonly #server: () => DriverServer | null;

  constructor(server: () => DriverServer | null) {
    this.#server = server;
  }

  async get(): Promise<object> {
    const values: { labels: Record<string, string | number>; value: number; metricName: string }[] = [];
    const counters = this.#server()?.counters;
    let total = 0;
    WAIT_BOUNDS_MS.forEach((bound, i) => {
      total += counters?.waits[i] ?? 0;
      values.push({ labels: { le: bound / 1000 }, value: total, metricName: `${this.name}_bucket` });
    });
    total += counters?.waits[WAIT_BOUNDS_MS.length] ?? 0;
    values.push({ labels: { le: '+Inf' }, value: total, metricName: `${this.name}_bucket` });
    values.push({ labels: {}, value: (counters?.waitSumMs ?? 0) / 1000, metricName: `${this.name}_sum` });
    values.push({ labels: {}, value: total, metricName: `${this.name}_count` });
    return { name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values };
  }

  reset(): void {
    // The buckets are the server's and are never reset by a scraper.
  }
}
