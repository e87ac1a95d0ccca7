/** EVE events of file scanning: `anti_malware` (one file) and `file_scan` (a scan began, paused or ended). docs/file-scanning.md shows both. */
import type { Finding, IntegrityChange, LogFinding, ScanRecord } from '../../file-events/index.js';
import { eveTime } from './event-time.js';

/** @param wallMs time of the event, ms since 1970; @param host name of the appliance */
export function antiMalwareEvent(f: Finding, wallMs: number, host: string): string {
  const { result } = f;
  return JSON.stringify({
    timestamp: timeOf(wallMs),
    event_type: 'anti_malware',
    ...(f.origin === null ? { vm: f.vm } : f.origin),
    anti_malware: {
      trigger: f.trigger,
      outcome: result.outcome,
      ...(result.signature === '' ? {} : { signature: result.signature }),
      ...(result.engine === '' ? {} : { engine: result.engine }),
      ...(result.reason === '' ? {} : { reason: result.reason }),
      action: f.action,
      ...(f.quarantine === '' ? {} : { quarantine: f.quarantine }),
      ...(f.remedyError === '' ? {} : { remedy_error: f.remedyError }),
      ...(f.process === null ? {} : { process: { pid: f.process.pid, uid: f.process.uid, image: f.process.image } }),
      vms: f.vms,
      ...(f.repeats === 0 ? {} : { repeats: f.repeats }),
      ...(f.delivered === null ? {} : { delivered_by: { ...f.delivered.origin, filename: f.delivered.filename, timestamp: f.delivered.time } }),
    },
    fileinfo: { filename: f.path, size: f.size, ...(f.sha256 === '' ? {} : { sha256: f.sha256 }) },
    host,
  });
}

/** One entity that differs from its baseline. */
export function integrityEvent(c: IntegrityChange, wallMs: number, host: string): string {
  const { before, after } = c;
  return JSON.stringify({
    timestamp: timeOf(wallMs),
    event_type: 'integrity',
    vm: c.vm,
    integrity: {
      rule: c.rule.name,
      severity: c.rule.severity,
      change: c.change,
      ...(c.from === '' ? {} : { from: c.from }),
      attributes: c.attributes,
      kind: (after ?? before)?.kind,
      ...(before === null ? {} : { before: stateOf(before) }),
      ...(after === null ? {} : { after: stateOf(after) }),
      ...(c.diff === '' ? {} : { diff: c.diff }),
      ...(c.process === null ? {} : { process: { pid: c.process.pid, uid: c.process.uid, image: c.process.image } }),
    },
    fileinfo: { filename: c.path, size: (after ?? before)?.size, ...((after?.sha256 ?? '') === '' ? {} : { sha256: after!.sha256 }) },
    host,
  });
}

/** A log rule matched. */
export function logEvent({ vm, path, match: { rule, decoded, count } }: LogFinding, wallMs: number, host: string): string {
  return JSON.stringify({
    timestamp: timeOf(wallMs),
    event_type: 'log_inspection',
    vm,
    log_inspection: {
      rule: { id: rule.id, level: rule.level, description: rule.description, groups: rule.groups ?? [] },
      ...(count > 1 ? { count } : {}),
      ...(decoded.program === '' ? {} : { program: decoded.program }),
      ...(decoded.host === '' ? {} : { log_host: decoded.host }),
      ...(decoded.decoder === '' ? {} : { decoder: decoded.decoder, fields: decoded.fields }),
      file: path,
      log: decoded.line,
    },
    host,
  });
}

function stateOf({ mode, uid, gid, size, mtime, sha256, target }: NonNullable<IntegrityChange['after']>): object {
  return { mode: (mode & 0o7777).toString(8).padStart(4, '0'), uid, gid, size, mtime: new Date(Number(BigInt(mtime) / 1_000_000n)).toISOString(), ...(sha256 === '' ? {} : { sha256 }), ...(target === '' ? {} : { target }) };
}

export function fileScanEvent(r: ScanRecord, wallMs: number, host: string): string {
  return JSON.stringify({
    timestamp: timeOf(wallMs),
    event_type: 'file_scan',
    vm: r.vm,
    file_scan: {
      id: r.id,
      trigger: r.trigger,
      ...(r.name === '' ? {} : { name: r.name }),
      paths: r.paths,
      state: r.state,
      files: r.files,
      bytes: r.bytes,
      clean: r.clean,
      malicious: r.malicious,
      not_fully_scanned: r.not_fully_scanned,
      failed: r.failed,
      unreadable: r.unreadable,
      seconds: Math.round(r.active_ms / 100) / 10,
      ...(r.error === '' ? {} : { error: r.error }),
    },
    host,
  });
}

function timeOf(wallMs: number): string {
  return eveTime(Math.floor(wallMs / 1000), Math.floor((wallMs % 1000) * 1000));
}
