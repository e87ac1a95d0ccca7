/** Keywords of RFB (VNC). */
import { DIR_TO_CLIENT, DIR_TO_SERVER } from '../draft.js';
import { UINT32, numeric } from './tx-numbers.js';

export const rfbSectype = numeric('rfb.sectype', 'Security type chosen for an RFB connection: 1 none, 2 VNC authentication.', { max: UINT32, directions: DIR_TO_SERVER });
export const rfbSecresult = numeric('rfb.secresult', 'Result of the authentication of an RFB connection.', { max: UINT32, directions: DIR_TO_CLIENT, words: { ok: 0, fail: 1, toomany: 2, unknown: UINT32 } });
