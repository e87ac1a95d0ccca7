/** TAP device: the port of a VM. Created when it does not exist; closing the last descriptor removes it, unless it is persistent. */
import { loadNative, opening } from '../native.js';
import type { NativePort, PortEnvironment } from './port.js';

export interface TapPortOptions {
  /** Interface name, at most 15 bytes; `%d` is replaced by a free number. */
  readonly device: string;
  /** Exchange GSO super-frames and partial checksums with the guest. Default true. */
  readonly offloads?: boolean;
  /** Also UDP segmentation offload: faster bulk UDP, but the kernel joins datagrams. Default false. */
  readonly uso?: boolean;
  /** Bytes behind the link header. Default: leave as it is (1500 for a new device). */
  readonly mtu?: number;
  /** Bring the interface up. Default true; a lab that moves it to another namespace does it there. */
  readonly up?: boolean;
}

export class TapPort implements NativePort {
  readonly type = 'tap';
  readonly kind = 'native';
  readonly ioKind = 0;
  fd = -1;
  vnetHdrLen = 0;
  mtu = 1500;
  interfaceName: string;
  interfaceMac = '';
  private readonly options: TapPortOptions;

  constructor(options: TapPortOptions) {
    this.options = options;
    this.interfaceName = options.device;
  }

  open(_environment: PortEnvironment): void {
    const native = loadNative();
    const { device, offloads = true, uso = false, mtu, up = true } = this.options;
    const opened = opening('CAP_NET_ADMIN, and read and write on /dev/net/tun', () => native.openTap(device, { offloads, uso }));
    this.fd = opened.fd;
    this.vnetHdrLen = opened.vnetHdrLen;
    this.interfaceName = opened.name;
    this.interfaceMac = opened.mac;
    this.mtu = mtu ?? opened.mtu;
    if (up || mtu !== undefined) native.configureInterface(opened.name, { ...(mtu === undefined ? {} : { mtu }), ...(up ? { up } : {}) });
  }

  close(): void {
    if (this.fd < 0) return;
    loadNative().closeFd(this.fd);
    this.fd = -1;
  }
}
