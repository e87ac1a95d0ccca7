/**
 * Layout of a flow record: 32 int32 words, 128 bytes. The first 64-byte line holds what every packet of an established
 * IPv4 flow reads or writes; the second one what only IPv6 keys, new flows and reports need.
 */
export const R_STRIDE = 32;

// ---- line 0: every packet ----------------------------------------------------------------------------------------
/** First address word of both ends; end A is the originator (sender of the first packet). */
export const R_A0 = 0;
export const R_B0 = 1;
/** Ports of a packet from A to B: source << 16 | destination. ICMP: see flow-key.ts. */
export const R_PORTS = 2;
/** Protocol | IP version code << 8 | zone << 10; 0 marks a free record. */
export const R_META = 3;
/** S_* bit fields below. */
export const R_STATE = 4;
/** Second of the last packet. */
export const R_LAST = 5;
/**
 * TCP window tracking, three words per direction (names of van Rooij, "Real stateful TCP packet filtering"):
 * highest sequence end sent, highest sequence end the peer allows, largest window the sender ever offered.
 */
export const R_END_A = 6;
export const R_MAXEND_A = 7;
export const R_MAXWIN_A = 8;
export const R_END_B = 9;
export const R_MAXEND_B = 10;
export const R_MAXWIN_B = 11;
/** Packets (GSO super-frames count as their segments), unsigned 32 bits. */
export const R_PACKETS_A = 12;
export const R_PACKETS_B = 13;
/** Low 32 bits of the byte counters. */
export const R_BYTES_A = 14;
export const R_BYTES_B = 15;

// ---- line 1 --------------------------------------------------------------------------------------------------------
export const R_A1 = 16;
export const R_A2 = 17;
export const R_A3 = 18;
export const R_B1 = 19;
export const R_B2 = 20;
export const R_B3 = 21;
/** Of a free record: the next one of the free list; -1 ends it. */
export const R_NEXT = 22;
/** Of a TCP flow with M_ISN: sequence number of the originator's first byte. */
export const R_ISN_A = 22;
export const R_HASH = 23;
/** Time of the first packet. */
export const R_FIRST_SEC = 24;
export const R_FIRST_USEC = 25;
/** High 16 bits of the byte counters: A in the lower half, B in the upper. */
export const R_BYTES_HIGH = 26;
/** Switch ports (VMs) behind A (lower half) and B (upper half); PORT_UNKNOWN until a packet came from there. */
export const R_SWITCH_PORTS = 27;
/** Firewall rule that admitted the flow, -1 = none, and the policy generation it belongs to. */
export const R_RULE = 28;
export const R_GENERATION = 29;
/** Mark bits that are rare enough not to be in R_STATE (M_*). */
export const R_MARKS = 30;
/** Counts allocations of the table; tells successive tenants of a record apart. */
export const R_SERIAL = 31;

// ---- R_STATE ---------------------------------------------------------------------------------------------------------
export const S_STATE = 0xf;
/** Window scale shift per direction; SCALE_NONE = no option seen in its SYN. */
export const S_SCALE_A = 4;
export const S_SCALE_B = 8;
export const SCALE_NONE = 15;
/** Window scaling (or the beginning) was not seen: windows are learnt but not enforced. */
export const S_LIBERAL = 1 << 12;
/** End B sent the first FIN (meaningful from FIN_WAIT on). */
export const S_CLOSER_B = 1 << 13;
/** The flow was condemned: drop everything. */
export const S_DROPPED = 1 << 14;
/** The flow is passed without inspection. */
export const S_BYPASS = 1 << 15;
/** TCP flags seen (CWR..FIN), 8 bits per direction. */
export const S_FLAGS_A = 16;
export const S_FLAGS_B = 24;

// ---- R_MARKS -----------------------------------------------------------------------------------------------------------
export const M_ALERTED = 1 << 0;
export const M_REJECTED = 1 << 1;
/** The RFC 5961 sense of a reset that hit the window but not its edge. */
export const M_INEXACT_RST = 1 << 2;
/** The originator's SYN was seen. */
export const M_ISN = 1 << 3;
/** Another connection announced this one (FTP data, TFTP). */
export const M_EXPECTED = 1 << 4;

export const PORT_UNKNOWN = 0xffff;

/** Why a flow ended. */
export const EndCause = {
  /** Idle for longer than its state allows. */
  TIMEOUT: 0,
  /** Evicted to make room. */
  EVICTED: 1,
  /** A new connection took over the same addresses and ports. */
  REUSED: 2,
  /** Removed by policy or an operator. */
  FORCED: 3,
  /** The appliance is stopping (or the pcap is over). */
  SHUTDOWN: 4,
} as const;
export type EndCause = (typeof EndCause)[keyof typeof EndCause];
export const END_CAUSE_NAMES = ['timeout', 'evicted', 'reused', 'forced', 'shutdown'] as const;
