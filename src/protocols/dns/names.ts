/** Text of DNS types, response codes and data for the log (IANA DNS parameters). */
import { printable } from '../bytes.js';

const TYPES: Readonly<Record<number, string>> = {
  1: 'A', 2: 'NS', 3: 'MD', 4: 'MF', 5: 'CNAME', 6: 'SOA', 7: 'MB', 8: 'MG', 9: 'MR', 10: 'NULL', 11: 'WKS', 12: 'PTR', 13: 'HINFO', 14: 'MINFO', 15: 'MX',
  16: 'TXT', 17: 'RP', 18: 'AFSDB', 24: 'SIG', 25: 'KEY', 28: 'AAAA', 29: 'LOC', 33: 'SRV', 35: 'NAPTR', 36: 'KX', 37: 'CERT', 39: 'DNAME', 41: 'OPT', 42: 'APL',
  43: 'DS', 44: 'SSHFP', 45: 'IPSECKEY', 46: 'RRSIG', 47: 'NSEC', 48: 'DNSKEY', 49: 'DHCID', 50: 'NSEC3', 51: 'NSEC3PARAM', 52: 'TLSA', 55: 'HIP', 59: 'CDS',
  60: 'CDNSKEY', 64: 'SVCB', 65: 'HTTPS', 99: 'SPF', 249: 'TKEY', 250: 'TSIG', 251: 'IXFR', 252: 'AXFR', 253: 'MAILB', 254: 'MAILA', 255: 'ANY', 256: 'URI', 257: 'CAA',
};
const RCODES: Readonly<Record<number, string>> = {
  0: 'NOERROR', 1: 'FORMERR', 2: 'SERVFAIL', 3: 'NXDOMAIN', 4: 'NOTIMP', 5: 'REFUSED', 6: 'YXDOMAIN', 7: 'YXRRSET', 8: 'NXRRSET', 9: 'NOTAUTH', 10: 'NOTZONE',
};

export function typeName(type: number): string {
  return TYPES[type] ?? `UNKNOWN-${type}`;
}

export function rcodeName(code: number): string {
  return RCODES[code] ?? `RCODE-${code}`;
}

/** Data of a record as text, null for types whose data is not printed. */
export function rdataText(type: number, buf: Uint8Array, off: number, len: number): string | null {
  switch (type) {
    case 1:
      return len === 4 ? `${buf[off]}.${buf[off + 1]}.${buf[off + 2]}.${buf[off + 3]}` : null;
    case 28: {
      if (len !== 16) return null;
      const words: string[] = [];
      for (let i = 0; i < 16; i += 2) words.push(((buf[off + i]! << 8) | buf[off + i + 1]!).toString(16).padStart(4, '0'));
      return words.join(':');
    }
    case 2: case 3: case 4: case 5: case 7: case 8: case 9: case 12: case 15: case 16: case 33: case 39:
      return printable(buf, off, len);
    default:
      return null;
  }
}
