/** Keywords of SNMP. */
import { numeric } from './tx-numbers.js';

export const snmpVersion = numeric('snmp.version', 'Version of an SNMP message: 1, 2 (v2c) or 3.', { max: 3 });
export const snmpPduType = numeric('snmp.pdu_type', 'Type of an SNMP PDU: 0 get, 1 get next, 2 response, 3 set, 4 trap v1 ...', {
  max: 31,
  words: { get_request: 0, get_next_request: 1, response: 2, set_request: 3, trap_v1: 4, get_bulk_request: 5, inform_request: 6, trap_v2: 7, report: 8 },
});
