/**
 * file-events: what happens to files inside VMs, judged once for all of them.
 * In: the drivers' connections (UNIX socket, vsock, TLS; protocol/), server/ turns frames into FileEvent with a content reader.
 * Out: a Disposition for each event (FileEventHandler: queue, verdict cache, engines), commands back to the driver, counters.
 * Folders: protocol (wire format, pure), server (connections); judge (the handler: answers, policy, remedies), cache (identity and
 * verdict), integrity (baselines and changes), log-inspection, queue, flow-files (files that flows carry), scan (one scan for one content), engines, quarantine.
 * May import: util, packet, pipeline, flow, protocols. Uses Node's I/O modules.
 */
export * from './protocol/limits.js';
export type * from './protocol/messages.js';
export type {
  ContentReader, Digested, Disposition, DriverSession, FileChange, FileEvent, FileEventHandler, LogChunk, OpenedFile, RestoredMeta,
} from './handler.js';
export { ProtocolError, FieldReader, FieldWriter } from './protocol/wire.js';
export { decodeMessage, encodeMessage } from './protocol/codec.js';
export { FrameSplitter } from './protocol/splitter.js';
export { describeIdentity, identityKey, type Identity } from './protocol/identity.js';
export { applianceProof, driverProof, sameProof } from './protocol/proof.js';
export { VerdictCache, type ContentRecord } from './cache/verdict-cache.js';
export { ContentSpool, contentOf, type ScanContent } from './engines/content.js';
export type { Engine, ScanOutcome, ScanResult } from './engines/engine.js';
export { EngineSet } from './engines/engine-set.js';
export { FileJudge } from './judge/judge.js';
export type { Action, Finding, Trigger } from './judge/finding.js';
export { DEFAULT_POLICY, type FilePolicy } from './judge/policy.js';
export { restore, verified } from './judge/remedy.js';
export type { VmState } from './judge/vms.js';
export { QuarantineError, QuarantineStore, type QuarantineEntry } from './quarantine/store.js';
export { PRIORITY_NAMES, Priority, ScanQueue } from './queue/scan-queue.js';
export { FileScanner, type Judgement } from './scan/file-scanner.js';
export { DriverServer, type DriverPolicy, type ServerOptions, type VmAccess } from './server/server.js';
export { ServerCounters, WAIT_BOUNDS_MS } from './server/counters.js';
export { DriverError } from './server/errors.js';
export type { TlsOptions } from './server/tls-listener.js';
export { DAYS, FILE_SIZES, filesSchema, vmFilesSchema, type FilesConfig, type ScheduleConfig, type VmFilesConfig } from './config.js';
export { ENGINES, createEngines, type EngineConfig } from './engines/registry.js';
export { FileService, type FileServiceOptions } from './service.js';
export { MountedPartition, partitionsOf, type Partition } from './scan/disk-image.js';
export { IntegrityMonitor, type BaselineInfo, type CheckResult, type IntegrityChange } from './integrity/monitor.js';
export { LogEngine, type LogMatch } from './log-inspection/engine.js';
export { loadLogEngine } from './log-inspection/rule-files.js';
export { LineSplitter, type LogFinding } from './log-inspection/watcher.js';
export { FlowFileCollector, type FlowFile, type FlowFileLimits } from './flow-files/collector.js';
export type { Delivery, FlowOrigin } from './flow-files/journal.js';
export { LocalTree } from './scan/local-tree.js';
export type { ScanRate, ScanRecord } from './scan/scan-job.js';
export { driverPolicy, driversSchema, vmDriverSchema, type DriversConfig, type VmDriverConfig } from './server/config.js';
export { probe, type ProbeTarget } from './server/probe.js';
