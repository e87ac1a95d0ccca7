/**
 * Prometheus metrics, read from the shared counter block when scraped: the data plane never knows that anybody looks.
 * Names and units follow the Prometheus naming rules (base units, _total for counters). Reference: docs/metrics.md.
 */
import { Counter, Gauge, Registry, collectDefaultMetrics, type Metric } from 'prom-client';
import {
  DROP_REASONS, G_ALERTS_ALLOWED, G_ALERTS_BLOCKED, G_ANSWERS_LIMITED, G_BATCHES, G_EVENTS_LOST, G_EVENT_RING_FILL, G_FLOWS_ACTIVE, G_FLOWS_CREATED, G_FLOWS_ENDED,
  G_FLOWS_EVICTED, G_FRAGMENTS, G_GENERATION, G_INJECTED, G_LATENCY, G_MACS, G_MAC_EVICTIONS, G_NORMALISED, G_PCRE_LIMIT, G_RELOADS, G_RELOAD_FAILURES, G_RULES, G_STREAM_BYTES,
  G_STREAM_MEMCAP, G_UNINSPECTED_BYTES,
  G_WEB_BLOCKED, G_WEB_BODY_BYTES, G_WEB_EXEMPT, G_WEB_HOLDS_GIVEN_UP, G_WEB_MATCHED, G_WEB_MEMCAP, G_WEB_OPEN, G_WEB_RESPONSES_SKIPPED, G_WEB_TRANSACTIONS, G_WEB_UNPARSABLE,
  G_WEB_UPGRADES, G_WEB_WOULD_BLOCK, LATENCY_BOUNDS_US, P_COPY_DROPS, P_CONSUMED, P_FLOWS, P_FORWARDED, P_HALF_OPEN, P_RX_BYTES, P_RX_FRAMES, P_RX_SEGMENTS,
  P_TX_BYTES, P_TX_FRAMES, type Counters,
} from '../../pipeline/index.js';
import type { DriverServer, FileService } from '../../file-events/index.js';
import { registerDriverMetrics } from './driver-metrics.js';
import { observeFiles, registerFileMetrics } from './file-metrics.js';
import { pulled } from './pulled.js';

export interface MetricsSource {
  readonly counters: Counters;
  readonly portNames: readonly string[];
  readonly vmNames: readonly string[];
  /** Capacity of the tables, for the fill gauges. */
  readonly flowCapacity: number;
  readonly macCapacity: number;
  readonly version: string;
  /** File scanning; null when it is off: its metrics are absent then. */
  readonly files: FileService | null;
  /** Files of flows that were not judged. */
  readonly flowFilesDropped: () => number;
  readonly drivers: DriverServer | null;
}

const PORT_METRICS = [
  ['received_frames_total', 'Frames received from the port; a GSO super-frame counts once.', P_RX_FRAMES],
  ['received_segments_total', 'Wire segments received: a super-frame counts as the segments it holds.', P_RX_SEGMENTS],
  ['received_bytes_total', 'Bytes received from the port, link layer included.', P_RX_BYTES],
  ['transmitted_frames_total', 'Frames handed to the port; each copy of a flooded frame counts.', P_TX_FRAMES],
  ['transmitted_bytes_total', 'Bytes handed to the port.', P_TX_BYTES],
  ['forwarded_frames_total', 'Received frames that left through at least one port.', P_FORWARDED],
  ['consumed_frames_total', 'Received frames meant for the appliance itself.', P_CONSUMED],
  ['refused_copies_total', 'Copies of flooded frames that one destination refused while others took them.', P_COPY_DROPS],
] as const;

const PORT_GAUGES = [
  ['port_flows', 'Flows tracked now that the port opened; those of a VM stand at its first port.', P_FLOWS],
  ['port_half_open_flows', 'TCP handshakes among them that are not complete.', P_HALF_OPEN],
] as const;

const GLOBAL_COUNTERS = [
  ['batches_total', 'Batches of frames processed.', G_BATCHES],
  ['injected_frames_total', 'Frames the appliance built itself (TCP RST, ICMP unreachable).', G_INJECTED],
  ['flows_created_total', 'Flows entered in the flow table.', G_FLOWS_CREATED],
  ['flows_ended_total', 'Flows that ended (closed or timed out).', G_FLOWS_ENDED],
  ['flows_evicted_total', 'Flows removed early to make room.', G_FLOWS_EVICTED],
  ['events_lost_total', 'Events shed because the event ring was full; never those that explain a blocked packet.', G_EVENTS_LOST],
  ['stream_memcap_total', 'Segments refused because reassembly memory was used up.', G_STREAM_MEMCAP],
  ['stream_normalised_total', 'Retransmissions with different bytes that were rewritten to what had been inspected.', G_NORMALISED],
  ['web_transactions_total', 'HTTP transactions judged by web rules.', G_WEB_TRANSACTIONS],
  ['web_matched_total', 'HTTP transactions in which a web rule matched that is logged.', G_WEB_MATCHED],
  ['web_blocked_total', 'HTTP transactions blocked by web protection.', G_WEB_BLOCKED],
  ['web_would_block_total', 'HTTP transactions that web protection would have blocked if it did not only detect.', G_WEB_WOULD_BLOCK],
  ['web_exempt_total', 'HTTP requests that the settings of web protection exempt.', G_WEB_EXEMPT],
  ['web_upgrades_total', 'Connections that went on in another protocol (Upgrade, CONNECT), which web rules do not judge.', G_WEB_UPGRADES],
  ['web_unparsable_total', 'Connections to protected web servers that stopped being readable as HTTP.', G_WEB_UNPARSABLE],
  ['web_memcap_total', 'Bodies that found no memory for being judged.', G_WEB_MEMCAP],
  ['web_holds_given_up_total', 'Requests passed on before their end was judged (`web.hold`): too long, or the client was slow.', G_WEB_HOLDS_GIVEN_UP],
  ['web_responses_skipped_total', 'Responses not judged because the client pipelined too many requests.', G_WEB_RESPONSES_SKIPPED],
  ['pcre_limit_total', 'Regular expressions stopped by their match limit.', G_PCRE_LIMIT],
  ['uninspected_bytes_total', 'Payload bytes passed without inspection (depth, bypass, encryption).', G_UNINSPECTED_BYTES],
  ['answers_limited_total', 'Refused packets that got no answer because of the rate limits.', G_ANSWERS_LIMITED],
  ['reloads_total', 'Reloads of rules and policies that took effect.', G_RELOADS],
  ['reload_failures_total', 'Reloads that were refused: the policy before them stays in force.', G_RELOAD_FAILURES],
  ['mac_evictions_total', 'MAC table entries evicted to make room.', G_MAC_EVICTIONS],
] as const;

const GLOBAL_GAUGES = [
  ['flows', 'Flows tracked now.', G_FLOWS_ACTIVE],
  ['web_open_transactions', 'HTTP transactions under judgement now.', G_WEB_OPEN],
  ['web_body_bytes', 'Body bytes kept for them.', G_WEB_BODY_BYTES],
  ['stream_memory_bytes', 'Reassembly memory in use.', G_STREAM_BYTES],
  ['fragmented_datagrams', 'Datagrams being put together from fragments.', G_FRAGMENTS],
  ['mac_entries', 'MAC addresses learned.', G_MACS],
  ['event_ring_fill_ratio', 'Fill of the event ring, 0 to 1.', G_EVENT_RING_FILL],
  ['ips_rules', 'IPS rules loaded now.', G_RULES],
  ['policy_generation', 'Policy generation that judges packets now.', G_GENERATION],
] as const;

/** Build the registry of one appliance. */
export function createRegistry(source: MetricsSource): Registry {
  const registry = new Registry();
  const { counters } = source;
  const name = (n: string): string => `drawbridge_${n}`;

  const info = new Gauge({ name: name('build_info'), help: 'Constant 1, labelled with the version.', labelNames: ['version'], registers: [registry] });
  info.set({ version: source.version }, 1);

  const labels = source.portNames.map((port, i) => ({ port, vm: source.vmNames[i] ?? '' }));
  for (const [suffix, help, column] of PORT_METRICS) {
    pulled(new Counter({ name: name(suffix), help, labelNames: ['port', 'vm'], registers: [] }), registry, (m) => {
      m.reset();
      labels.forEach((l, port) => m.inc(l, counters.port(port, column)));
    });
  }
  for (const [suffix, help, column] of PORT_GAUGES) {
    pulled(new Gauge({ name: name(suffix), help, labelNames: ['port', 'vm'], registers: [] }), registry, (m) => {
      labels.forEach((l, port) => m.set(l, counters.port(port, column)));
    });
  }
  pulled(new Counter({ name: name('dropped_frames_total'), help: 'Received frames that left through no port, by the one reason.', labelNames: ['port', 'vm', 'reason'], registers: [] }), registry, (m) => {
    m.reset();
    labels.forEach((l, port) => {
      for (let r = 1; r < DROP_REASONS.length; r++) {
        const n = counters.dropped(port, r);
        if (n > 0) m.inc({ ...l, reason: DROP_REASONS[r]!.name }, n);
      }
    });
  });
  pulled(new Counter({ name: name('alerts_total'), help: 'Signature matches by what happened to the packet.', labelNames: ['action'], registers: [] }), registry, (m) => {
    m.reset();
    m.inc({ action: 'allowed' }, counters.get(G_ALERTS_ALLOWED));
    m.inc({ action: 'blocked' }, counters.get(G_ALERTS_BLOCKED));
  });
  for (const [suffix, help, column] of GLOBAL_COUNTERS) {
    pulled(new Counter({ name: name(suffix), help, registers: [] }), registry, (m) => {
      m.reset();
      m.inc(counters.get(column));
    });
  }
  for (const [suffix, help, column] of GLOBAL_GAUGES) {
    pulled(new Gauge({ name: name(suffix), help, registers: [] }), registry, (m) => m.set(counters.get(column)));
  }
  pulled(new Gauge({ name: name('table_fill_ratio'), help: 'Fill of a bounded table, 0 to 1.', labelNames: ['table'], registers: [] }), registry, (m) => {
    m.set({ table: 'flows' }, counters.get(G_FLOWS_ACTIVE) / source.flowCapacity);
    m.set({ table: 'macs' }, counters.get(G_MACS) / source.macCapacity);
  });
  registry.registerMetric(new BatchLatency(counters) as unknown as Metric);
  const { files } = source;
  if (files !== null) {
    registerFileMetrics(registry, () => files, source.flowFilesDropped);
    observeFiles(registry, files);
  }
  const { drivers } = source;
  if (drivers !== null) registerDriverMetrics(registry, () => drivers);
  collectDefaultMetrics({ register: registry, prefix: 'drawbridge_process_' });
  return registry;
}

/**
 * The batch latency histogram. prom-client's Histogram only takes observations one by one; ours are counted in the worker,
 * so this small metric prints the finished buckets.
 */
class BatchLatency {
  readonly name = 'drawbridge_batch_duration_seconds';
  readonly help = 'Time from receiving a batch of frames to having handed all of it on.';
  readonly type = 'histogram';
  readonly aggregator = 'sum';
  readonly #counters: Counters;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  async get(): Promise<object> {
    const values: { labels: Record<string, string | number>; value: number; metricName: string }[] = [];
    let total = 0;
    LATENCY_BOUNDS_US.forEach((bound, i) => {
      total += this.#counters.get(G_LATENCY + i);
      values.push({ labels: { le: bound / 1e6 }, value: total, metricName: `${this.name}_bucket` });
    });
    total += this.#counters.get(G_LATENCY + LATENCY_BOUNDS_US.length);
    values.push({ labels: { le: '+Inf' }, value: total, metricName: `${this.name}_bucket` });
    values.push({ labels: {}, value: this.#counters.get(G_LATENCY + LATENCY_BOUNDS_US.length + 1) / 1e6, metricName: `${this.name}_sum` });
    values.push({ labels: {}, value: total, metricName: `${this.name}_count` });
    return { name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values };
  }

  reset(): void {
    // The buckets live in the counter block and are never reset by a scraper.
  }
}
