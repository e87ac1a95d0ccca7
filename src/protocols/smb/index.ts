/**
 * SMB 1, 2 and 3 over TCP (NetBIOS session service or direct): shares, log-ons, files, and DCE/RPC over named pipes.
 * Encrypted messages are stepped over.
 */
import type { Flow } from '../../flow/index.js';
import { be16 } from '../../util/index.js';
import { STUB_BUFFER } from '../dcerpc/index.js';
import { fileBuffers } from '../files.js';
import { Directions, FRAME_MAX, FrameTransaction, bytesBuffer, frameBuffer } from '../message.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from '../parser.js';
import { SmbSession } from './session.js';
import { smb1 } from './smb1.js';
import { smb2 } from './smb2.js';
import type { SmbTransaction } from './transaction.js';

const NBSS_HEADER = 4;
const SESSION_MESSAGE = 0;
/** Longest message read whole; of a longer one the rest is stepped over. */
const MESSAGE_MAX = 1 << 20;
const Magic = { SMB1: 0xff, SMB2: 0xfe, ENCRYPTED: 0xfd } as const;

class SmbParser implements AppParser {
  readonly #session = new SmbSession();
  readonly #skip = [0, 0];
  #nextFrame = 0;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    let pos = off;
    while (pos < end) {
      if (this.#skip[dir]! > 0) {
        const n = Math.min(this.#skip[dir]!, end - pos);
        this.#skip[dir]! -= n;
        pos += n;
        continue;
      }
      if (end - pos < NBSS_HEADER) break;
      const length = (buf[pos + 1]! << 16) | be16(buf, pos + 2);
      const body = pos + NBSS_HEADER;
      if (buf[pos] !== SESSION_MESSAGE || length < 4) {
        if (buf[pos] !== SESSION_MESSAGE && (buf[pos]! < 0x81 || buf[pos]! > 0x85)) return -1;
        this.#skip[dir] = NBSS_HEADER + length;
        continue;
      }
      if (length > MESSAGE_MAX) {
        this.#skip[dir] = NBSS_HEADER + length;
        continue;
      }
      if (end - body < length) break;
      if (!this.#message(flow, dir, buf, pos, body, body + length)) return -1;
      pos = body + length;
    }
    return pos - off;
  }

  #message(flow: Flow, dir: number, buf: Uint8Array, start: number, off: number, end: number): boolean {
    if (!isSmb(buf, off)) return buf[off] === Magic.ENCRYPTED;
    const family = buf[off] === Magic.SMB1 ? 'smb1' : 'smb2';
    if (flow.frames) this.#frame(flow, dir, buf.slice(start, Math.min(end, start + FRAME_MAX)), off - start, family);
    return family === 'smb1' ? smb1(this.#session, flow, dir, buf, off, end) : smb2(this.#session, flow, dir, buf, off, end);
  }

  /** @param at where the message begins in the unit, behind the header of NetBIOS */
  #frame(flow: Flow, dir: number, unit: Uint8Array, at: number, family: 'smb1' | 'smb2'): void {
    const message = unit.subarray(at);
    const header = family === 'smb1' ? 32 : 64;
    const parts = {
      'nbss.pdu': unit,
      'nbss.hdr': unit.subarray(0, at),
      'nbss.data': message,
      [`${family}.pdu`]: message,
      [`${family}.hdr`]: message.subarray(0, header),
      [`${family}.data`]: message.subarray(header),
    };
    flow.transactions.push(new FrameTransaction(this.#nextFrame++, dir, parts));
  }

  gap(): boolean {
    return false;
  }

  close(_flow: Flow, dir: number): void {
    this.#session.closeAll(dir);
  }
}

function isSmb(buf: Uint8Array, off: number): boolean {
  return (buf[off] === Magic.SMB1 || buf[off] === Magic.SMB2) && buf[off + 1] === 0x53 && buf[off + 2] === 0x4d && buf[off + 3] === 0x42;
}

function probe(buf: Uint8Array, off: number, end: number): number {
  if (buf[off] === 0x81 || buf[off] === 0x82) return end - off < 4 ? PROBE_MORE : buf[off + 1] === 0 && end - off >= 4 ? PROBE_YES : PROBE_NO; // NetBIOS session set-up
  if (buf[off] !== SESSION_MESSAGE) return PROBE_NO;
  if (end - off < 8) return PROBE_MORE;
  return isSmb(buf, off + 4) || (buf[off + 4] === Magic.ENCRYPTED && buf[off + 5] === 0x53) ? PROBE_YES : PROBE_NO;
}

const { TO_SERVER, BOTH } = Directions;

export const SMB_PROTOCOL: AppProtocol = {
  name: 'smb',
  transports: ['tcp'],
  keepsPieces: true,
  ports: [445, 139],
  probe: (buf, off, end, _dir, onPort) => (buf[off] === SESSION_MESSAGE || onPort ? probe(buf, off, end) : PROBE_NO),
  create: () => new SmbParser(),
  buffers: [
    bytesBuffer<SmbTransaction>('smb.share', TO_SERVER, 0, (tx, _dir, index) => (index === 0 && !tx.isPipe ? tx.share : null)),
    bytesBuffer<SmbTransaction>('smb.named_pipe', TO_SERVER, 0, (tx, _dir, index) => (index === 0 && tx.isPipe ? tx.share : null)),
    bytesBuffer<SmbTransaction>('smb.ntlmssp_user', TO_SERVER, 0, (tx, _dir, index) => (index === 0 ? tx.user : null)),
    bytesBuffer<SmbTransaction>('smb.ntlmssp_domain', TO_SERVER, 0, (tx, _dir, index) => (index === 0 ? tx.domain : null)),
    STUB_BUFFER,
    ...fileBuffers(BOTH, 0),
    ...['nbss.pdu', 'nbss.hdr', 'nbss.data', 'smb1.pdu', 'smb1.hdr', 'smb1.data', 'smb2.pdu', 'smb2.hdr', 'smb2.data'].map((type) => frameBuffer('smb', type)),
  ],
  completeToServer: 1,
  completeToClient: 1,
  events: ['smb.file_overlap', 'smb.malformed_data', 'smb.malformed_ntlmssp_request'],
};
