/**
 * A QEMU guest over a UNIX socket: no TAP, no privileges. `-netdev stream` carries frames behind a four-byte length, `-netdev
 * dgram` one frame a datagram (QEMU 7.2 and later). Neither carries offloads: super-frames of other ports are segmented and
 * checksums completed on the way in.
 */
import { rmSync } from 'node:fs';
import { loadNative } from '../native.js';
import type { NativePort, PortEnvironment } from './port.js';

const MTU_DEFAULT = 1500;
const MODE_DEFAULT = '0600';

interface QemuPortOptions {
  /** UNIX socket, at most 107 bytes. */
  readonly path: string;
  /** Permission bits of a socket this process makes, octal. Default 0600: QEMU runs as the same user. */
  readonly mode?: string;
  /** Bytes behind the link header that the guest takes. Default 1500. */
  readonly mtu?: number;
}

export interface QemuStreamPortOptions extends QemuPortOptions {
  /** `listen` (default): QEMU connects (`server=off`). `connect`: QEMU listens (`server=on`), and we look for it once a second. */
  readonly side?: 'listen' | 'connect';
}

export interface QemuDgramPortOptions extends QemuPortOptions {
  /** QEMU's own socket (its `local.path`). */
  readonly remote: string;
}

/** What both have in common: a socket file that is made when the port opens and removed when it closes. */
abstract class QemuPort implements NativePort {
  abstract readonly type: string;
  abstract readonly ioKind: 2 | 3;
  abstract readonly peerPath: string;
  readonly kind = 'native';
  readonly vnetHdrLen = 0;
  readonly interfaceName = '';
  readonly interfaceMac = '';
  readonly mtu: number;
  fd = -1;
  protected readonly options: QemuPortOptions;

  constructor(options: QemuPortOptions) {
    this.options = options;
    this.mtu = options.mtu ?? MTU_DEFAULT;
  }

  abstract open(environment: PortEnvironment): void;

  protected bind(datagram: 0 | 1): void {
    this.fd = loadNative().openUnix(datagram, this.options.path, Number.parseInt(this.options.mode ?? MODE_DEFAULT, 8));
  }

  close(): void {
    if (this.fd < 0) return;
    loadNative().closeFd(this.fd);
    this.fd = -1;
    try {
      rmSync(this.options.path, { force: true });
    } catch {
      // Another user by now (privileges.user): the file stays, and the next start replaces it as stale.
    }
  }
}

export class QemuStreamPort extends QemuPort {
  readonly type = 'qemu-stream';
  readonly ioKind = 2;
  readonly peerPath: string;
  private readonly listens: boolean;

  constructor(options: QemuStreamPortOptions) {
    super(options);
    this.peerPath = options.path;
    this.listens = options.side !== 'connect';
  }

  open(_environment: PortEnvironment): void {
    if (this.listens) this.bind(0);
  }
}

export class QemuDgramPort extends QemuPort {
  readonly type = 'qemu-dgram';
  readonly ioKind = 3;
  readonly peerPath: string;

  constructor(options: QemuDgramPortOptions) {
    super(options);
    this.peerPath = options.remote;
  }

  open(_environment: PortEnvironment): void {
    this.bind(1);
  }
}
