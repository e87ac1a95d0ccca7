/**
 * Copies frames the switch handled into a rotating set of capture files: per port, VLAN and direction, or only what was
 * dropped. Files hold wire frames: super-frames are segmented and partial checksums completed, so that readers see what a
 * cable would have carried. An ingress frame is written as the switch passed it on (normalised bytes, priority tag
 * resolved).
 *
 * Bounded on disk (files x bytes) and in rate; frames that a bound leaves out are counted. Writing is synchronous and
 * buffered by 256 KiB: a tool for looking, to be limited with `sample` or `framesPerSecond` where latency matters.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  D_LEN,
  D_LINK_TYPE,
  D_STRIDE,
  D_TS_SEC,
  D_TS_USEC,
  D_WIRE_LEN,
  LinkType,
  PacketView,
  PcapWriter,
  TAG_KEEP,
  decodeBatchRow,
  type FrameBatch,
} from '../packet/index.js';
import { TokenBuckets } from '../util/index.js';
import { OUTCOME_DROPPED } from './accounting.js';
import { FrameFilter } from './frame-filter.js';
import { EIO, type WireSink, WireEmitter } from './segment.js';
import type { FrameObserver } from './switch-types.js';

const NO_MTU = 1 << 20;
const FILE_HEADER = 24;
const RECORD_HEADER = 16;

export const MIRROR_FILE_BYTES_DEFAULT = 64 * 1024 * 1024;
export const MIRROR_FILES_DEFAULT = 4;

export interface PcapMirrorOptions {
  /** Newest file; older ones are named `<file>.1`, `<file>.2`, ... */
  readonly file: string;
  /** Bytes after which a file is rotated. Default 64 MiB, at least 4096. */
  readonly maxFileBytes?: number;
  /** Files kept, the newest included. Default 4. */
  readonly maxFiles?: number;
  /** Port indexes; absent = all. */
  readonly ports?: readonly number[];
  /** VLANs; absent = all, and frames outside any VLAN. */
  readonly vlans?: readonly number[];
  /** `in`: frames received from the ports, `out`: frames sent to them. Default both. */
  readonly direction?: 'in' | 'out' | 'both';
  /** Only frames that were dropped (they have no egress side). Default false. */
  readonly droppedOnly?: boolean;
  /** Write every n-th frame that matches. Default 1. */
  readonly sample?: number;
  /** Only frames that this expression fits (frame-filter.ts). */
  readonly filter?: string;
  /** Limit in frames per second of capture time. Default none. */
  readonly framesPerSecond?: number;
}

export class PcapMirror implements FrameObserver, WireSink {
  /** Wire frames written. */
  written = 0;
  /** Frames that matched but were over the rate limit. */
  limited = 0;
  /** Frames that could not be written: another link type, contradictory offload fields, or a failing disk. */
  failed = 0;
  /** Why writing stopped; null while all is well. */
  error: Error | null = null;
  private readonly options: PcapMirrorOptions;
  private readonly maxBytes: number;
  private readonly maxFiles: number;
  private readonly sample: number;
  private readonly wantsIn: boolean;
  private readonly wantsOut: boolean;
  private readonly droppedOnly: boolean;
  private readonly ports: Set<number> | null;
  private readonly vlans: Set<number> | null;
  private readonly filter: FrameFilter | null;
  private readonly view = new PacketView();
  private readonly limit = new TokenBuckets(1);
  private readonly emitter = new WireEmitter();
  private writer: PcapWriter | null;
  private bytes = FILE_HEADER;
  private turn = 0;
  // Of the frame being written.
  private tsSec = 0;
  private tsUsec = 0;
  private missing = 0;

  /** Starts a new file, and its folder; older ones move up. @throws RangeError, SyntaxError of the filter, or the error of open(2) */
  constructor(options: PcapMirrorOptions) {
    this.options = options;
    this.maxBytes = atLeast(4096, options.maxFileBytes ?? MIRROR_FILE_BYTES_DEFAULT, 'maxFileBytes');
    this.maxFiles = atLeast(1, options.maxFiles ?? MIRROR_FILES_DEFAULT, 'maxFiles');
    this.sample = atLeast(1, options.sample ?? 1, 'sample');
    this.droppedOnly = options.droppedOnly ?? false;
    const direction = options.direction ?? 'both';
    this.wantsIn = direction !== 'out';
    this.wantsOut = direction !== 'in' && !this.droppedOnly;
    this.ports = options.ports === undefined ? null : new Set(options.ports);
    this.vlans = options.vlans === undefined ? null : new Set(options.vlans);
    this.filter = options.filter === undefined ? null : new FrameFilter(options.filter);
    if (options.framesPerSecond !== undefined) this.limit.configure(0, atLeast(1, options.framesPerSecond, 'framesPerSecond'), options.framesPerSecond);
    mkdirSync(dirname(options.file), { recursive: true });
    this.writer = this.nextFile();
  }

  ingress(batch: FrameBatch, row: number, port: number, vlan: number, outcome: number, reason: number): void {
    const dropped = outcome === OUTCOME_DROPPED;
    if (!this.wantsIn || (this.droppedOnly && !dropped)) return;
    if (this.matches(port, vlan) && this.fits(batch, row, dropped, reason)) this.record(batch, row, TAG_KEEP);
  }

  egress(batch: FrameBatch, row: number, port: number, vlan: number, tag: number, status: number): void {
    if (this.wantsOut && status === 0 && this.matches(port, vlan) && this.fits(batch, row, false, 0)) this.record(batch, row, tag);
  }

  private matches(port: number, vlan: number): boolean {
    return (this.ports === null || this.ports.has(port)) && (this.vlans === null || this.vlans.has(vlan));
  }

  /** The frame is decoded once more: the switch's own view is at another frame by now. */
  private fits(batch: FrameBatch, row: number, dropped: boolean, reason: number): boolean {
    if (this.filter === null) return true;
    decodeBatchRow(this.view, batch, row);
    return this.filter.matches(this.view, dropped, reason);
  }

  private record(batch: FrameBatch, row: number, tag: number): void {
    if (this.turn++ % this.sample !== 0) return;
    const d = row * D_STRIDE;
    const desc = batch.desc;
    this.tsSec = desc[d + D_TS_SEC]!;
    this.tsUsec = desc[d + D_TS_USEC]!;
    this.missing = Math.max(0, desc[d + D_WIRE_LEN]! - desc[d + D_LEN]!);
    if (!this.limit.take(0, 1, this.tsSec, this.tsUsec)) this.limited++;
    else if (desc[d + D_LINK_TYPE] !== LinkType.ETHERNET || this.emitter.emit(batch, row, tag, NO_MTU, this) !== 0) this.failed++;
  }

  wireFrame(buf: Uint8Array, off: number, len: number): number {
    if (this.writer === null) return EIO;
    try {
      if (this.bytes + RECORD_HEADER + len > this.maxBytes && this.bytes > FILE_HEADER) {
        this.writer.close();
        this.writer = this.nextFile();
      }
      this.writer.write(buf, off, len, len + this.missing, this.tsSec, this.tsUsec);
    } catch (error) {
      this.stop(error);
      return EIO;
    }
    this.bytes += RECORD_HEADER + len;
    this.written++;
    return 0;
  }

  private nextFile(): PcapWriter {
    const { file } = this.options;
    const name = (i: number) => (i === 0 ? file : `${file}.${i}`);
    rmSync(name(this.maxFiles - 1), { force: true });
    for (let i = this.maxFiles - 2; i >= 0; i--) if (existsSync(name(i))) renameSync(name(i), name(i + 1));
    this.bytes = FILE_HEADER;
    return new PcapWriter(file);
  }

  /** A full disk must not cost a retry per frame, nor the data plane: the mirror stops and says why. */
  private stop(error: unknown): void {
    this.error = error instanceof Error ? error : new Error(String(error));
    this.writer = null;
  }

  /** Write out what is buffered, for somebody who wants to look now. */
  flush(): void {
    try {
      this.writer?.flush();
    } catch (error) {
      this.stop(error);
    }
  }

  close(): void {
    try {
      this.writer?.close();
    } catch (error) {
      this.stop(error);
    }
    this.writer = null;
  }
}

function atLeast(min: number, value: number, name: string): number {
  if (!Number.isInteger(value) || value < min) throw new RangeError(`mirror: ${name} must be a whole number from ${min}, not ${value}`);
  return value;
}
