/** Why a frame may not be delivered to a port, whatever inspection says. */
import { isMulticastMac, type PacketView } from '../packet/index.js';
import { DropReason } from '../pipeline/index.js';
import { isBridgeProtocol } from './port-security.js';
import { STATE_QUARANTINE, type SwitchPort } from './switch-port.js';

const QUARANTINE = DropReason.switch_quarantine;
const NO_PORT = DropReason.switch_no_port;
const VLAN_EGRESS = DropReason.switch_vlan_egress;
const ISOLATED = DropReason.switch_isolated;
const PROMISCUOUS = DropReason.port_promiscuous;
const MAC_CHANGE = DropReason.port_mac_change;
const BPDU = DropReason.port_bpdu;

/** May a frame from `port`, switched in `vlan`, be delivered to `far`? @returns DropReason, 0 = it may */
export function egressRefusal(view: PacketView, vlan: number, port: SwitchPort, far: SwitchPort): number {
  if (!far.switched) return far.state === STATE_QUARANTINE ? QUARANTINE : NO_PORT;
  if (!far.vlan.has(vlan)) return VLAN_EGRESS;
  if (port.isolated && far.isolated) return ISOLATED;
  if (far.macChangeReject && far.macChanged) return MAC_CHANGE;
  if (isMulticastMac(view.dstMacHi)) {
    if (far.bpduFilter && isBridgeProtocol(view.dstMacHi, view.dstMacLo) && !far.allowsBpdu(view.dstMacHi, view.dstMacLo)) return BPDU;
  } else if (!far.listensTo(view.dstMacHi, view.dstMacLo)) {
    return PROMISCUOUS;
  }
  return 0;
}
