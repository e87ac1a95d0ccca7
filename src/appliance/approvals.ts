/** The file of approved addresses (`switch.approvals`): what operators approved survives a restart. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Approval } from './switch-control.js';

/** @returns the approvals kept there; none when there is no file yet. @throws Error naming the file when it is not one of ours */
export function readApprovals(file: string): Approval[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
  const list = parse(file, text);
  if (!Array.isArray(list) || !list.every(isApproval)) throw new Error(`${file}: not a list of approvals ({port, ip, vlan})`);
  return list;
}

function parse(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function isApproval(value: unknown): value is Approval {
  const a = value as Partial<Approval> | null;
  return typeof a === 'object' && a !== null && typeof a.port === 'string' && typeof a.ip === 'string' && Number.isInteger(a.vlan);
}

/** Keep or remove one approval. The file is replaced as a whole, so that it is never half written. @throws the system error */
export function keepApproval(file: string, approval: Approval, keep: boolean): void {
  const others = readApprovals(file).filter((a) => a.port !== approval.port || a.ip !== approval.ip || a.vlan !== approval.vlan);
  const list = keep ? [...others, approval] : others;
  writeFileSync(`${file}.new`, `${JSON.stringify(list, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
