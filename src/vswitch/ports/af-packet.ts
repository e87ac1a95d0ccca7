/** Existing network interface by AF_PACKET: the host side of a container's veth pair, or a physical uplink. */
import { loadNative, opening } from '../native.js';
import type { NativePort, PortEnvironment } from './port.js';

export interface AfPacketPortOptions {
  /** Interface name. */
  readonly interface: string;
  /** PACKET_VNET_HDR: super-frames and partial checksums pass whole. Default true. */
  readonly offloads?: boolean;
  /** Receive frames for other MACs as well. Default true: the switch serves many MACs. */
  readonly promiscuous?: boolean;
}

export class AfPacketPort implements NativePort {
  readonly type = 'af-packet';
  readonly kind = 'native';
  readonly ioKind = 1;
  fd = -1;
  vnetHdrLen = 0;
  mtu = 1500;
  interfaceName: string;
  interfaceMac = '';
  private readonly options: AfPacketPortOptions;

  constructor(options: AfPacketPortOptions) {
    this.options = options;
    this.interfaceName = options.interface;
  }

  open(_environment: PortEnvironment): void {
    const { offloads = true, promiscuous = true } = this.options;
    const opened = opening('CAP_NET_RAW', () => loadNative().openPacket(this.options.interface, { offloads, promiscuous }));
    this.fd = opened.fd;
    this.vnetHdrLen = opened.vnetHdrLen;
    this.interfaceName = opened.name;
    this.interfaceMac = opened.mac;
    this.mtu = opened.mtu;
  }

  close(): void {
    if (this.fd < 0) return;
    loadNative().closeFd(this.fd);
    this.fd = -1;
  }
}
