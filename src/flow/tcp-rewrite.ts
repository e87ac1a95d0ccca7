/** Inline, parts of the TCP header on which hosts disagree are taken away before a packet goes on. */
import { TCP_URG, type PacketView } from '../packet/index.js';

/** TCP option kinds (IANA); experiments (RFC 6994) include the first form of fast open. */
const TCP_END_OF_OPTIONS = 0;
const TCP_NOP = 1;
const TCP_FAST_OPEN = 34;
const TCP_EXPERIMENT = 254;
const TCP_OPTIONS_AT = 20;
const TCP_FLAGS_AT = 13;
const TCP_URGENT_AT = 18;

/**
 * Urgent data (RFC 6093): hosts disagree on whether the urgent byte is in the stream, which lets a sender say one thing to us
 * and another to them. Without the flag it is in the stream everywhere.
 */
export function clearUrgent(view: PacketView): void {
  const at = view.l4Off;
  view.buf[at + TCP_FLAGS_AT] &= ~TCP_URG;
  view.buf[at + TCP_URGENT_AT] = 0;
  view.buf[at + TCP_URGENT_AT + 1] = 0;
  view.modified = true;
}

/**
 * Blank the fast-open option of a SYN with data (RFC 7413): its host would read the data before a rule could drop anything.
 * @returns options blanked
 */
export function refuseFastOpen(view: PacketView): number {
  const { buf } = view;
  let blanked = 0;
  const end = view.l4Off + view.tcpHdrLen;
  for (let at = view.l4Off + TCP_OPTIONS_AT; at < end && buf[at] !== TCP_END_OF_OPTIONS; ) {
    const kind = buf[at];
    const len = kind === TCP_NOP ? 1 : buf[at + 1];
    if (kind !== TCP_NOP && (len < 2 || at + len > end)) return blanked;
    if (kind === TCP_FAST_OPEN || kind === TCP_EXPERIMENT) {
      buf.fill(TCP_NOP, at, at + len);
      view.modified = true;
      blanked++;
    }
    at += len;
  }
  return blanked;
}
