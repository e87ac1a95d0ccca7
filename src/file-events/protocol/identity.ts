/** Taking identity keys apart and making them (logs, tests, simulated drivers). */
import { IDENTITY_BYTES } from './limits.js';
import type { IdentityKey } from './messages.js';

export interface Identity {
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: bigint;
  /** Nanoseconds since 1970. */
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  /** Inode generation or change counter where the filesystem has one, else 0. */
  readonly change: bigint;
}

const FIELDS = ['device', 'inode', 'size', 'mtimeNs', 'ctimeNs', 'change'] as const;

/** @throws RangeError when it is no identity key */
export function describeIdentity(key: IdentityKey): Identity {
  if (key.length !== IDENTITY_BYTES) throw new RangeError(`identity of ${key.length} bytes`);
  const bytes = Buffer.from(key, 'latin1');
  return Object.fromEntries(FIELDS.map((name, i) => [name, name.endsWith('Ns') ? bytes.readBigInt64BE(i * 8) : bytes.readBigUInt64BE(i * 8)])) as unknown as Identity;
}

export function identityKey(identity: Identity): IdentityKey {
  const bytes = Buffer.alloc(IDENTITY_BYTES);
  FIELDS.forEach((name, i) => (name.endsWith('Ns') ? bytes.writeBigInt64BE(identity[name], i * 8) : bytes.writeBigUInt64BE(identity[name], i * 8)));
  return bytes.toString('latin1');
}
