/** What the verdict path reports: one finding a file that is not simply clean. The appliance makes events of them. */
import type { ScanResult } from '../engines/engine.js';
import type { Delivery, FlowOrigin } from '../flow-files/journal.js';
import type { ProcessInfo } from '../protocol/messages.js';

/** Why a file was looked at. */
export type Trigger = 'open' | 'open-exec' | 'access' | 'close-write' | 'on-demand' | 'scheduled' | 'offline' | 're-judged' | 'flow';

/** What was done about it: `none` = reported only (policy `pass`, or nobody waits and the policy is to deny). */
export type Action = 'none' | 'allowed' | 'denied' | 'quarantined' | 'deleted' | 'source-blocked';

export interface Finding {
  readonly trigger: Trigger;
  readonly vm: string;
  readonly path: string;
  readonly size: number;
  /** '' when it was not read. */
  readonly sha256: string;
  readonly result: ScanResult;
  readonly action: Action;
  /** Why quarantine or removal did not happen; '' otherwise. */
  readonly remedyError: string;
  /** Quarantine id; '' without. */
  readonly quarantine: string;
  readonly process: ProcessInfo | null;
  /** VMs known to hold the content; for re-judged content all of them. */
  readonly vms: readonly string[];
  /** Further findings about the same file that were not reported one by one. */
  readonly repeats: number;
  /** The flow that carried it, for trigger `flow`. */
  readonly origin: FlowOrigin | null;
  /** The flow that had delivered this content to this VM before. */
  readonly delivered: Delivery | null;
}

export type Report = (finding: Finding) => void;
