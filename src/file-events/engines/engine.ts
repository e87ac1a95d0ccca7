/** The contract of a detection engine: private, finished content in, one outcome out. An engine that cannot tell says so. */
import type { ScanContent } from './content.js';

/**
 * - `clean`: every byte was looked at and nothing was found
 * - `malicious`: something was found; what, says `signature`
 * - `not-fully-scanned`: nothing was found in what was looked at, but that was not all of it; why, says `reason`
 * - `failed`: nobody looked; why, says `reason`
 */
export type ScanOutcome = 'clean' | 'malicious' | 'not-fully-scanned' | 'failed';

export interface ScanResult {
  readonly outcome: ScanOutcome;
  /** Name of what was found; '' unless malicious. */
  readonly signature: string;
  /** Engine that decided; '' when all agreed that it is clean. */
  readonly engine: string;
  /** Why it was not (fully) scanned; '' otherwise. */
  readonly reason: string;
}

export const CLEAN: ScanResult = { outcome: 'clean', signature: '', engine: '', reason: '' };

export function malicious(engine: string, signature: string): ScanResult {
  return { outcome: 'malicious', signature, engine, reason: '' };
}

/** @param reason a word of docs/file-scanning.md, optionally followed by ": " and detail */
export function notFullyScanned(engine: string, reason: string): ScanResult {
  return { outcome: 'not-fully-scanned', signature: '', engine, reason };
}

export function failed(engine: string, reason: string): ScanResult {
  return { outcome: 'failed', signature: '', engine, reason };
}

export interface Engine {
  /** Name in events and metrics. */
  readonly name: string;
  /**
   * Identifies the signatures in force: differs whenever they differ. Verdicts are stamped with it, so an engine changes it
   * only when the new signatures judge for certain; until then verdicts carry the old one and are judged again.
   */
  readonly epoch: string;
  /** Ready to be asked. @throws Error that names what is wrong and what would be right */
  start(): Promise<void>;
  /**
   * Never rejects: whatever goes wrong is `failed`.
   * @param signal aborts when the time limit of the scan has passed
   */
  scan(content: ScanContent, signal: AbortSignal): Promise<ScanResult>;
  /** Look for new signatures and take them. @returns true when `epoch` changed. @throws Error; the old signatures stay then */
  refresh(): Promise<boolean>;
  close(): Promise<void>;
}

/** Error or anything else that was thrown, in one line. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!;
}
