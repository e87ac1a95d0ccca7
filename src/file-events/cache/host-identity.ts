/** Identity of a file of this host, from a descriptor that a driver passed: the kernel tells it, not the driver. */
import { fstatSync, statfsSync } from 'node:fs';

export interface HostIdentity {
  /** The same for every VM that opens this state of this file. */
  readonly key: string;
  readonly ctimeMs: number;
}

/** @returns null when the descriptor is not open any more: reading it will say so, with a reason */
export function hostIdentity(fd: number): HostIdentity | null {
  try {
    const s = fstatSync(fd, { bigint: true });
    return { key: `${s.dev}.${s.ino}.${s.size}.${s.mtimeNs}.${s.ctimeNs}`, ctimeMs: Number(s.ctimeNs / 1_000_000n) };
  } catch {
    return null;
  }
}

/** statfs(2) types of filesystems whose times this kernel keeps. FUSE, 9p or NFS show what their server likes. */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x794c7630, // overlay
  0x01021994, // tmpfs
  0x2fc12fc1, // zfs
  0x73717368, // squashfs
  0xe0f5e1e2, // erofs
]);

/** May what was found out about this file count for other VMs that open the same one? */
export function isLocal(fd: number): boolean {
  try {
    return LOCAL.has(statfsSync(`/proc/self/fd/${fd}`).type);
  } catch {
    return false;
  }
}
