/** PostgreSQL's protocol version 3, recognised by its start-up messages; its contents are judged as stream. */
import { TO_SERVER } from '../flow/index.js';
import { be32 } from '../util/index.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';

const VERSION_3 = 0x00030000;
const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;
const STARTUP_MAX = 10000;

class PgsqlParser implements AppParser {
  data(_flow: unknown, _dir: number, _buf: Uint8Array, off: number, end: number): number {
    return end - off;
  }

  gap(): boolean {
    return true;
  }

  close(): void {
    // nothing is held
  }
}

function probe(buf: Uint8Array, off: number, end: number, dir: number): number {
  if (dir !== TO_SERVER) return PROBE_NO;
  if (end - off < 8) return buf[off] === 0 ? PROBE_MORE : PROBE_NO;
  const length = be32(buf, off) >>> 0;
  const code = be32(buf, off + 4) >>> 0;
  if (length < 8 || length > STARTUP_MAX) return PROBE_NO;
  return code === VERSION_3 || code === SSL_REQUEST || code === GSS_REQUEST || code === CANCEL_REQUEST ? PROBE_YES : PROBE_NO;
}

export const PGSQL_PROTOCOL: AppProtocol = {
  name: 'pgsql',
  transports: ['tcp'],
  ports: [5432],
  portsOnly: true,
  probe,
  create: () => new PgsqlParser(),
  buffers: [],
  completeToServer: 1,
  completeToClient: 1,
  events: [],
};
