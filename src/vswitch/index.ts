/**
 * vswitch: the virtual switch, the only room that receives and sends frames.
 * In: port definitions, frames of TAP, AF_PACKET, capture files and memory, an Inspector to ask about each frame.
 * Out: frames on ports, the traffic and drop counters of pipeline (received = forwarded + consumed + drops by reason).
 * Life of a batch: PortSet.poll -> Switch.processBatch (security, VLAN, learning, forwarding, inspection) -> PortSet.flush.
 * May import: util, packet, pipeline. Imported by the appliance only.
 */
export { Switch } from './switch.js';
export type { FrameObserver, FrameOutput, PortEvent, PortInfo, SwitchOptions } from './switch-types.js';
export { ALLOW_ALL, EGRESS_MANY, type Inspector } from './inspector.js';
export type { AcceptReject, DiscoveryConfig, PortSecurityConfig, PortState, StormLimits, SpoofGuardConfig, SwitchPortConfig } from './switch-port.js';
export type { VlanConfig } from './vlan.js';
export { MAC_AGE_DEFAULT, MAC_AGE_MAX, MAC_AGE_MIN, MAC_TABLE_SIZE_DEFAULT, MAC_TABLE_SIZE_MAX, MAC_TABLE_SIZE_MIN, MacTable, type MacTableOptions } from './mac-table.js';
export {
  A_FIRST, A_IP, A_MAC_HI, A_MAC_LO, A_PORT, A_SEEN, A_SOURCES, A_STATE, ADDRESSES_PER_PORT, ADDRESS_SOURCES, ADDRESS_STATES, AddressTable,
  type AddressEvent, type AddressObserver,
} from './address-table.js';
export { OUTCOME_CONSUMED, OUTCOME_DROPPED, OUTCOME_FORWARDED } from './accounting.js';
export { PortSet } from './io.js';
export { checkPorts, type PortProblem } from './port-check.js';
export { portSchema, switchPortConfig, type PortDefinition } from './port-schema.js';
export { PORT_TYPES, createPort, type PortTypeName, type PortTypeOptions, type PortTypeRow } from './ports/registry.js';
export type { JsPort, NativePort, Port, PortEnvironment } from './ports/port.js';
export { MemoryPort, type MemoryFrame, type MemoryPortOptions } from './ports/memory.js';
export { PcapPort, type PcapPortOptions } from './ports/pcap.js';
export { TapPort, type TapPortOptions } from './ports/tap.js';
export { AfPacketPort, type AfPacketPortOptions } from './ports/af-packet.js';
export { QemuDgramPort, QemuStreamPort, type QemuDgramPortOptions, type QemuStreamPortOptions } from './ports/qemu.js';
export { MirrorPort, type MirrorPortOptions } from './ports/mirror.js';
export { WireEmitter, type WireSink } from './segment.js';
export { FrameFilter } from './frame-filter.js';
export { PcapMirror, type PcapMirrorOptions } from './pcap-mirror.js';
