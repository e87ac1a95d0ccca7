/**
 * Raw disk images of VMs that are switched off: finds the partitions (GPT, MBR) and mounts one read-only. Journals are not
 * replayed and nothing is written, so the VM finds its disk as it left it.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Partition {
  /** 1, 2, ...; 0 = the image holds a filesystem without a partition table. */
  readonly number: number;
  /** Bytes. */
  readonly offset: number;
  readonly size: number;
}

const SECTOR = 512;
/** MBR types that hold no filesystem of their own: empty, extended, GPT protective. */
const SKIPPED = new Set([0x00, 0x05, 0x0f, 0x85, 0xee]);
const MAX_PARTITIONS = 128;

/**
 * Partitions of a raw image.
 * @throws Error when the image is too small or its table contradicts itself; the system error when it cannot be read
 */
export function partitionsOf(image: string): Partition[] {
  const fd = openSync(image, 'r');
  try {
    const size = fstatSync(fd).size;
    const read = (at: number, length: number): Buffer => {
      const buffer = Buffer.alloc(length);
      if (at + length > size || readSync(fd, buffer, 0, length, at) !== length) throw new Error(`${image}: ends before its partition table says so`);
      return buffer;
    };
    if (size < 2 * SECTOR) throw new Error(`${image}: ${size} bytes are no disk`);
    const mbr = read(0, SECTOR);
    if (mbr.readUInt16LE(510) !== 0xaa55) return [{ number: 0, offset: 0, size }];
    const entries = [0, 1, 2, 3].map((i) => mbr.subarray(446 + i * 16, 462 + i * 16));
    const found = entries.some((e) => e[4] === 0xee) ? gpt(read) : entries.map((e, i) => ({ number: i + 1, type: e[4]!, offset: e.readUInt32LE(8) * SECTOR, size: e.readUInt32LE(12) * SECTOR })).filter((p) => !SKIPPED.has(p.type));
    // A filesystem without a table may carry a boot sector signature as well.
    if (found.length === 0) return [{ number: 0, offset: 0, size }];
    return found.filter((p) => p.offset > 0 && p.size > 0 && p.offset + p.size <= size).map(({ number, offset, size: bytes }) => ({ number, offset, size: bytes }));
  } finally {
    closeSync(fd);
  }
}

/** UEFI 2.10, 5.3: header in sector 1, entries where it says. */
function gpt(read: (at: number, length: number) => Buffer): Partition[] {
  const header = read(SECTOR, SECTOR);
  if (header.toString('latin1', 0, 8) !== 'EFI PART') throw new Error('the protective MBR promises a GPT that is not there');
  const start = Number(header.readBigUInt64LE(72)) * SECTOR;
  const count = Math.min(header.readUInt32LE(80), MAX_PARTITIONS);
  const bytes = header.readUInt32LE(84);
  if (bytes < 128 || bytes > 4096) throw new Error(`partition entries of ${bytes} bytes`);
  const found: Partition[] = [];
  for (let i = 0; i < count; i++) {
    const e = read(start + i * bytes, 128);
    if (e.subarray(0, 16).every((b) => b === 0)) continue;
    const first = Number(e.readBigUInt64LE(32));
    const last = Number(e.readBigUInt64LE(40));
    found.push({ number: i + 1, offset: first * SECTOR, size: (last - first + 1) * SECTOR });
  }
  return found;
}

/** Options that keep each filesystem from replaying its journal; those it does not know make mount fail, so they are tried in turn. */
const NO_REPLAY = ['noload', 'norecovery', 'nologreplay', ''];

/** A partition mounted read-only in a directory of its own. */
export class MountedPartition {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** @throws Error with what mount(8) said: no permission, no filesystem, none this kernel knows */
  static mount(image: string, partition: Partition): MountedPartition {
    const directory = mkdtempSync(join(tmpdir(), 'drawbridge-image-'));
    let said = '';
    for (const option of NO_REPLAY) {
      const options = ['ro', 'loop', 'nodev', 'nosuid', 'noexec', `offset=${partition.offset}`, `sizelimit=${partition.size}`, option].filter(Boolean).join(',');
      const r = spawnSync('mount', ['-o', options, image, directory], { encoding: 'utf8' });
      if (r.status === 0) return new MountedPartition(directory);
      said = r.error?.message ?? r.stderr.trim();
    }
    rmdirSync(directory);
    throw new Error(`partition ${partition.number} of ${image}: ${said.split('\n', 1)[0] ?? 'mount failed'}`);
  }

  /** @throws Error when it is still in use */
  unmount(): void {
    const r = spawnSync('umount', [this.directory], { encoding: 'utf8' });
    if (r.status !== 0) throw new Error(r.error?.message ?? r.stderr.trim());
    rmdirSync(this.directory);
  }
}
