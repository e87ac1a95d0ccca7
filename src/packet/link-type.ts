/** pcap link types this build decodes (https://www.tcpdump.org/linktypes.html). */
export const LinkType = {
  NULL: 0,
  ETHERNET: 1,
  PPP: 9,
  /** LINKTYPE_RAW is 101; 12 and 14 are the DLT_RAW values some systems write into files. */
  RAW_BSD: 12,
  RAW_OPENBSD: 14,
  RAW: 101,
  C_HDLC: 104,
  LOOP: 108,
  LINUX_SLL: 113,
  IPV4: 228,
  IPV6: 229,
  LINUX_SLL2: 276,
} as const;
export type LinkType = (typeof LinkType)[keyof typeof LinkType];

const names = new Map<number, string>(Object.entries(LinkType).map(([name, value]) => [value, name]));

/** True when `decode` knows the link type. */
export function isLinkTypeSupported(linkType: number): boolean {
  return names.has(linkType);
}

/** Name for messages: `ETHERNET (1)`, or just the number when it is not known. */
export function linkTypeName(linkType: number): string {
  const name = names.get(linkType);
  return name === undefined ? String(linkType) : `${name} (${linkType})`;
}
