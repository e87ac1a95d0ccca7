/** What is done with each outcome; one policy a VM. */
import type { ScanOutcome } from '../engines/engine.js';

export interface FilePolicy {
  /** `deny` refuses access, `quarantine` and `delete` also remove the file, `pass` only reports. */
  readonly on_malicious: 'deny' | 'quarantine' | 'delete' | 'pass';
  readonly on_not_fully_scanned: 'allow' | 'deny';
  readonly on_failed: 'allow' | 'deny';
}

export const DEFAULT_POLICY: FilePolicy = { on_malicious: 'quarantine', on_not_fully_scanned: 'allow', on_failed: 'deny' };

/** May a process have a file with this outcome? */
export function allows(policy: FilePolicy, outcome: ScanOutcome): boolean {
  switch (outcome) {
    case 'clean':
      return true;
    case 'malicious':
      return policy.on_malicious === 'pass';
    case 'not-fully-scanned':
      return policy.on_not_fully_scanned === 'allow';
    case 'failed':
      return policy.on_failed === 'allow';
  }
}
