/** DNS messages over UDP (RFC 1035): a query and the answer to it. */
import { latin1 } from './text.mjs';

const TYPES = { A: 1, NS: 2, NULL: 10, MX: 15, TXT: 16, AAAA: 28, ANY: 255 };
const CLASS_IN = 1;
const RECURSION_DESIRED = 0x0100;
const RESPONSE = 0x8180;
const NXDOMAIN = 3;

function words(...values) {
  const out = Buffer.alloc(values.length * 2);
  values.forEach((value, i) => out.writeUInt16BE(value, i * 2));
  return out;
}

function question(name, type) {
  const labels = name.split('.').map((label) => {
    if (label === '' || label.length > 63) throw new SyntaxError(`label of 1 to 63 bytes expected in ${name}`);
    return Buffer.concat([Buffer.of(label.length), latin1(label)]);
  });
  if (!(type in TYPES)) throw new SyntaxError(`unknown DNS type ${type}`);
  return Buffer.concat([...labels, Buffer.of(0), words(TYPES[type], CLASS_IN)]);
}

/** @param {{name: string, type?: string, nxdomain?: boolean}} query @param {number} id */
export function dnsExchange({ name, type = 'A', nxdomain = false }, id) {
  const asked = question(name, type);
  // An address for A, nothing (NOERROR without data) for other types; the rules judge queries.
  const answered = !nxdomain && type === 'A';
  const answer = answered ? Buffer.concat([words(0xc00c, TYPES.A, CLASS_IN, 0, 300, 4), Buffer.of(192, 0, 2, 10)]) : Buffer.alloc(0);
  return {
    query: Buffer.concat([words(id, RECURSION_DESIRED, 1, 0, 0, 0), asked]),
    reply: Buffer.concat([words(id, RESPONSE | (nxdomain ? NXDOMAIN : 0), 1, answered ? 1 : 0, 0, 0), asked, answer]),
  };
}
