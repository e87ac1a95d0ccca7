/** Keywords of DHCP. */
import { UINT32, numeric } from './tx-numbers.js';

export const dhcpLeasetime = numeric('dhcp.leasetime', 'Lease time of a DHCP message in seconds.', { max: UINT32 });
export const dhcpRenewalTime = numeric('dhcp.renewal_time', 'Renewal time of a DHCP message in seconds.', { max: UINT32 });
export const dhcpRebindingTime = numeric('dhcp.rebinding_time', 'Rebinding time of a DHCP message in seconds.', { max: UINT32 });
