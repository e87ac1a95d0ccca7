/**
 * Port types by the name users write in the configuration. A new type is one file in this folder and one row here: its
 * options' JSON Schema (which is also its documentation) and how to make the port.
 */
import { AfPacketPort, type AfPacketPortOptions } from './af-packet.js';
import { MirrorPort, type MirrorPortOptions } from './mirror.js';
import { PcapPort, type PcapPortOptions } from './pcap.js';
import type { Port } from './port.js';
import { QemuDgramPort, QemuStreamPort, type QemuDgramPortOptions, type QemuStreamPortOptions } from './qemu.js';
import { TapPort, type TapPortOptions } from './tap.js';

export interface PortTypeRow {
  readonly help: string;
  /** JSON Schema of the options beside the common ones of every port. */
  readonly properties: Readonly<Record<string, object>>;
  readonly required: readonly string[];
  /** Ports of this type only listen, unless their definition says otherwise. */
  readonly passive?: boolean;
  /** Options have passed the schema. The port is not open yet. */
  create(options: never): Port;
}

const unixPath = { type: 'string', minLength: 1, maxLength: 107 } as const;
const socketOptions = {
  mode: { type: 'string', pattern: '^0?[0-7]{3}$', default: '0600', description: 'Permission bits of the socket, for a QEMU that runs as another user.' },
  mtu: { type: 'integer', minimum: 68, maximum: 65521, default: 1500, description: 'Bytes behind the link header that the guest takes.' },
} as const;
const interfaceName = { type: 'string', minLength: 1, maxLength: 15, pattern: '^[^\\s/]+$' } as const;

export const PORT_TYPES = {
  tap: {
    help: 'TAP device that this process holds; the other end is an interface (for VMs whose VMM opens a TAP itself use af-packet). Created when it does not exist.',
    properties: {
      device: { ...interfaceName, description: 'Interface name; %d is replaced by a free number.' },
      offloads: { type: 'boolean', default: true, description: 'Exchange GSO super-frames and partial checksums with the guest.' },
      uso: { type: 'boolean', default: false, description: 'Also UDP segmentation offload (Linux 6.2); the kernel then joins datagrams.' },
      mtu: { type: 'integer', minimum: 68, maximum: 65521, description: 'Bytes behind the link header; default: as the device has it.' },
      up: { type: 'boolean', default: true, description: 'Bring the interface up.' },
    },
    required: ['device'],
    create: (options: TapPortOptions) => new TapPort(options),
  },
  'af-packet': {
    help: 'Existing interface through a packet socket: the TAP of a QEMU, libvirt or Firecracker VM, the host side of a container veth pair, or an uplink.',
    properties: {
      interface: { ...interfaceName, description: 'Interface name.' },
      offloads: { type: 'boolean', default: true, description: 'Exchange GSO super-frames and partial checksums.' },
      promiscuous: { type: 'boolean', default: true, description: 'Receive frames for other MAC addresses as well.' },
    },
    required: ['interface'],
    create: (options: AfPacketPortOptions) => new AfPacketPort(options),
  },
  'qemu-stream': {
    help: 'QEMU guest by -netdev stream over a UNIX socket: no TAP, no privileges, no offloads.',
    properties: {
      path: { ...unixPath, description: 'The socket, relative to this file.' },
      side: { enum: ['listen', 'connect'], default: 'listen', description: 'listen: QEMU connects (server=off). connect: QEMU listens (server=on); survives a restart of either.' },
      ...socketOptions,
    },
    required: ['path'],
    create: (options: QemuStreamPortOptions) => new QemuStreamPort(options),
  },
  'qemu-dgram': {
    help: 'QEMU guest by -netdev dgram over UNIX sockets: no TAP, no privileges, no offloads.',
    properties: {
      path: { ...unixPath, description: "Our socket, relative to this file: QEMU's remote.path." },
      remote: { ...unixPath, description: "QEMU's socket, relative to this file: its local.path." },
      ...socketOptions,
    },
    required: ['path', 'remote'],
    create: (options: QemuDgramPortOptions) => new QemuDgramPort(options),
  },
  mirror: {
    help: 'Copy of the traffic of an interface through libpcap, to look at only; can answer with resets.',
    properties: {
      interface: { ...interfaceName, description: 'Interface to listen on.' },
      filter: { type: 'string', description: "Filter in libpcap's language. Default: none." },
      ringBytes: { type: 'integer', minimum: 262144, maximum: 1073741824, default: 8388608, description: 'Ring between capture and data plane; a power of two.' },
      activeResponse: { type: 'boolean', default: false, description: 'Send the TCP resets and ICMP errors of reject verdicts.' },
    },
    required: ['interface'],
    passive: true,
    create: (options: MirrorPortOptions) => new MirrorPort(options),
  },
  pcap: {
    help: 'Capture files: receives from one, sends to the other.',
    properties: {
      read: { type: 'string', minLength: 1, description: 'Capture to receive from: pcap or pcapng, plain or gzip.' },
      write: { type: 'string', minLength: 1, description: 'Capture to write; the suffix .pcapng selects that format.' },
      linkType: { type: 'integer', minimum: 0, maximum: 65535, default: 1, description: 'Link type of the file written.' },
    },
    required: [],
    create: (options: PcapPortOptions) => new PcapPort(options),
  },
} as const satisfies Readonly<Record<string, PortTypeRow>>;

export type PortTypeName = keyof typeof PORT_TYPES;

/** Type-specific part of a port definition. */
export type PortTypeOptions = { [T in PortTypeName]: { readonly type: T } & Parameters<(typeof PORT_TYPES)[T]['create']>[0] }[PortTypeName];

/**
 * Make the port a definition asks for; it is not open yet.
 * @throws SyntaxError for an unknown type, naming the known ones, or for contradictory options
 */
export function createPort(definition: PortTypeOptions): Port {
  const row: PortTypeRow | undefined = Object.hasOwn(PORT_TYPES, definition.type) ? PORT_TYPES[definition.type] : undefined;
  if (row === undefined) throw new SyntaxError(`unknown port type "${String(definition.type)}" (known: ${Object.keys(PORT_TYPES).join(', ')})`);
  return row.create(definition as never);
}
