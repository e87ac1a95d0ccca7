/** EtherTypes (IEEE 802 numbers) the decoders know by name. */
export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_RARP = 0x8035;
/** Transparent Ethernet bridging: an Ethernet frame follows (GRE, Geneve, NSH). */
export const ETHERTYPE_TEB = 0x6558;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_PPP = 0x880b;
export const ETHERTYPE_MPLS = 0x8847;
export const ETHERTYPE_MPLS_MULTICAST = 0x8848;
export const ETHERTYPE_PPPOE_DISCOVERY = 0x8863;
export const ETHERTYPE_PPPOE_SESSION = 0x8864;
export const ETHERTYPE_QINQ = 0x88a8;
export const ETHERTYPE_ERSPAN = 0x88be;
export const ETHERTYPE_LLDP = 0x88cc;
export const ETHERTYPE_8021AH = 0x88e7;
export const ETHERTYPE_FABRICPATH = 0x8903;
export const ETHERTYPE_VNTAG = 0x8926;
export const ETHERTYPE_NSH = 0x894f;
export const ETHERTYPE_QINQ_OLD = 0x9100;
