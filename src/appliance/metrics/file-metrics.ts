/** Metrics of file scanning: read from the service's own counts when scraped; waits and scan times are observed as they happen. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { PRIORITY_NAMES, type FileService } from '../../file-events/index.js';
import { pulled } from './pulled.js';

const COUNTERS: readonly (readonly [string, string, (s: FileService) => number])[] = [
  ['file_events_total', 'File events that drivers asked about.', (s) => s.judge.counts.events],
  ['file_cancelled_total', 'Answers that came after the driver had given up (its failure policy decided).', (s) => s.judge.counts.cancelled],
  ['file_saved_bytes_total', 'Bytes of files answered without reading and scanning them.', (s) => s.judge.counts.savedBytes + s.scanner.counts.savedBytes],
  ['file_fetched_bytes_total', 'Bytes of content read for scanning.', (s) => s.scanner.counts.fetchedBytes],
  ['file_content_joined_total', 'Requests that waited for a scan of the same content already under way.', (s) => s.scanner.counts.joined],
  ['file_content_cached_total', 'Contents read whose verdict was known by their hash.', (s) => s.scanner.counts.cached],
  ['file_scans_total', 'Contents shown to the engines.', (s) => s.scanner.counts.scanned],
  ['file_unreadable_total', 'Contents that could not be read.', (s) => s.scanner.counts.unreadable],
  ['file_cache_evictions_total', 'Verdicts forgotten because the cache was full.', (s) => s.cache.evicted],
  ['integrity_entities_total', 'Files and directories looked at by integrity monitoring.', (s) => s.integrity.counts.entities],
  ['integrity_unreadable_total', 'Files and directories that integrity monitoring could not read.', (s) => s.integrity.counts.unreadable],
  ['log_bytes_total', 'Bytes of log files inspected.', (s) => s.logs?.counts.bytes ?? 0],
  ['log_findings_total', 'Matches of log rules that were reported.', (s) => s.logs?.counts.reported ?? 0],
  ['file_rejudged_total', 'Contents judged again after new signatures.', (s) => s.rejudged.done],
];

const GAUGES: readonly (readonly [string, string, (s: FileService) => number])[] = [
  ['file_scans_running', 'Files being read and scanned now.', (s) => s.queue.running],
  ['file_cache_contents', 'Verdicts remembered.', (s) => s.cache.size],
  ['file_spool_bytes', 'Content held while it is scanned.', (s) => s.spool.held],
  ['file_quarantine_bytes', 'Size of the files in the quarantine.', (s) => s.store.bytes],
  ['file_quarantine_files', 'Files in the quarantine.', (s) => s.store.list().length],
  ['file_drivers_connected', 'VMs whose driver is connected.', (s) => s.judge.vms.all.filter((vm) => vm.session?.open === true).length],
];

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120];

/** @param service and @param dropped (files of flows not judged) are asked at each scrape */
export function registerFileMetrics(registry: Registry, service: () => FileService, dropped: () => number): void {
  const name = (n: string): string => `drawbridge_${n}`;
  for (const [suffix, help, get] of COUNTERS) {
    pulled(new Counter({ name: name(suffix), help, registers: [] }), registry, (m) => {
      m.reset();
      m.inc(get(service()));
    });
  }
  for (const [suffix, help, get] of GAUGES) pulled(new Gauge({ name: name(suffix), help, registers: [] }), registry, (m) => m.set(get(service())));
  pulled(new Counter({ name: name('file_answers_total'), help: 'Answers to file events, by how they were found: identity (of the file within its VM), host-identity (descriptor of this host), claim (hash told by the driver), scan (content asked for).', labelNames: ['found_by'], registers: [] }), registry, (m) => {
    const { counts } = service().judge;
    m.reset();
    m.inc({ found_by: 'identity' }, counts.byIdentity);
    m.inc({ found_by: 'host-identity' }, counts.byHostIdentity);
    m.inc({ found_by: 'claim' }, counts.byClaim);
    m.inc({ found_by: 'scan' }, counts.bySlowPath);
  });
  pulled(new Counter({ name: name('file_verdicts_total'), help: 'Answers to file events by verdict.', labelNames: ['verdict'], registers: [] }), registry, (m) => {
    const { counts } = service().judge;
    m.reset();
    m.inc({ verdict: 'allow' }, counts.allowed);
    m.inc({ verdict: 'deny' }, counts.denied);
  });
  pulled(new Counter({ name: name('file_queue_refused_total'), help: 'Files not scanned because of the queue: full, vm-full (share of the VM), expired (time limit reached while waiting), closed.', labelNames: ['reason'], registers: [] }), registry, (m) => {
    const { counts } = service().queue;
    m.reset();
    for (const reason of ['full', 'vm-full', 'expired', 'closed'] as const) m.inc({ reason }, counts[reason]);
  });
  pulled(new Gauge({ name: name('file_queue_depth'), help: 'Files waiting to be read and scanned.', labelNames: ['priority'], registers: [] }), registry, (m) => {
    PRIORITY_NAMES.forEach((priority, i) => m.set({ priority }, service().queue.depthOf(i as 0 | 1 | 2 | 3)));
  });
  pulled(new Counter({ name: name('file_engine_results_total'), help: 'Scans by engine and outcome.', labelNames: ['engine', 'outcome'], registers: [] }), registry, (m) => {
    m.reset();
    for (const [engine, stats] of service().engines.stats) for (const [outcome, n] of Object.entries(stats.outcomes)) m.inc({ engine, outcome }, n);
  });
  pulled(new Counter({ name: name('file_engine_seconds_total'), help: 'Time spent in each engine.', labelNames: ['engine'], registers: [] }), registry, (m) => {
    m.reset();
    for (const [engine, stats] of service().engines.stats) m.inc({ engine }, stats.ms / 1000);
  });
  pulled(new Counter({ name: name('file_engine_timeouts_total'), help: 'Scans that an engine did not finish in time.', labelNames: ['engine'], registers: [] }), registry, (m) => {
    m.reset();
    for (const [engine, stats] of service().engines.stats) m.inc({ engine }, stats.timeouts);
  });
  pulled(new Counter({ name: name('integrity_changes_total'), help: 'Differences from the baseline.', labelNames: ['change'], registers: [] }), registry, (m) => {
    const { counts } = service().integrity;
    m.reset();
    for (const change of ['created', 'updated', 'deleted', 'renamed'] as const) m.inc({ change }, counts[change]);
  });
  pulled(new Counter({ name: name('file_flow_files_total'), help: 'Files of flows judged, by outcome.', labelNames: ['outcome'], registers: [] }), registry, (m) => {
    m.reset();
    for (const [outcome, n] of Object.entries(service().flowFiles)) m.inc({ outcome }, n);
  });
  pulled(new Counter({ name: name('file_flow_dropped_total'), help: 'Files of flows not judged because too many were waiting.', registers: [] }), registry, (m) => {
    m.reset();
    m.inc(dropped());
  });
  pulled(new Counter({ name: name('file_remedies_total'), help: 'Quarantines and removals tried.', labelNames: ['result'], registers: [] }), registry, (m) => {
    const { counts } = service().judge;
    m.reset();
    m.inc({ result: 'done' }, counts.remedied);
    m.inc({ result: 'failed' }, counts.remedyFailed);
  });
}

/** Histograms that see each value as it happens. */
export function observeFiles(registry: Registry, service: FileService | null): void {
  const wait = new Histogram({ name: 'drawbridge_file_queue_wait_seconds', help: 'Time a file waited before it was read.', labelNames: ['priority'], buckets: SECONDS, registers: [registry] });
  const scan = new Histogram({ name: 'drawbridge_file_scan_seconds', help: 'Time of a scan, all engines together.', buckets: SECONDS, registers: [registry] });
  const answer = new Histogram({ name: 'drawbridge_file_answer_seconds', help: 'Time from a file event to its answer, inside the appliance.', buckets: SECONDS, registers: [registry] });
  if (service === null) return;
  service.queue.onWait = (priority, ms) => wait.observe({ priority: PRIORITY_NAMES[priority] }, ms / 1000);
  service.scanner.onScan = (ms) => scan.observe(ms / 1000);
  service.judge.onAnswer = (ms) => answer.observe(ms / 1000);
}
