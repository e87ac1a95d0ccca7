/** An event of a driver that is being judged. */
import type { ContentReader, DriverSession, FileEvent } from '../handler.js';
import type { EventKind } from '../protocol/limits.js';
import type { EventMessage, FileMeta, ProcessInfo } from '../protocol/messages.js';
import { LocalContent, RemoteContent, type RemoteFiles } from './content.js';

export class PendingEvent implements FileEvent {
  readonly id: number;
  readonly kind: EventKind;
  readonly permission: boolean;
  readonly session: DriverSession;
  readonly path: string;
  readonly meta: FileMeta;
  readonly size: number;
  readonly process: ProcessInfo;
  readonly mount: string;
  readonly raisedMs: number;
  readonly deadlineMs: number;
  /** -1 without; closed by the connection once the event is judged. */
  readonly fd: number;
  cancelled = false;
  onCancel: (() => void) | null = null;
  #content: LocalContent | RemoteContent | null = null;
  readonly #remote: RemoteFiles;
  readonly #count: (bytes: number) => void;

  constructor(m: EventMessage, session: DriverSession, remote: RemoteFiles, count: (bytes: number) => void, fd: number, mount: string, timeoutMs: number, nowMs: number) {
    this.id = m.id;
    this.kind = m.kind;
    this.permission = m.permission;
    this.session = session;
    this.path = m.path;
    this.meta = m.meta;
    this.size = m.size;
    this.process = m.process;
    this.mount = mount;
    this.raisedMs = nowMs - m.waitedUs / 1000;
    this.deadlineMs = m.permission ? this.raisedMs + timeoutMs : Number.POSITIVE_INFINITY;
    this.fd = fd;
    this.#remote = remote;
    this.#count = count;
  }

  get content(): ContentReader {
    this.#content ??= this.fd >= 0 ? new LocalContent(this.fd, this.size, this.meta.identity, this.#count) : new RemoteContent(this.#remote, this.id, this.size);
    return this.#content;
  }

  cancel(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    const tell = this.onCancel;
    this.onCancel = null;
    tell?.();
  }

  /** Before its descriptor is closed. */
  release(): void {
    if (this.#content instanceof LocalContent) this.#content.release();
  }
}
