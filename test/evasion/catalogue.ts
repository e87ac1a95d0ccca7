/**
 * The ways to hide an attack from an inline inspector (Ptacek and Newsham, "Insertion, evasion and denial of service"; Novak;
 * Shankar and Paxson), as stories told through a Lab. Each sends `payload`, whatever it is, in its own manner.
 */
import type { Lab, LabOptions } from '../helpers/evasion-lab.js';
import { ACK, FIN, PSH, RST, SYN, URG, addresses, concat, ethernet, fragmentHeader, ipv4, ipv6, latin1 } from '../helpers/wire.js';

export interface Evasion {
  readonly group: string;
  readonly name: string;
  readonly run: (lab: Lab, payload: Uint8Array) => void;
  readonly options?: LabOptions;
  /** Harmless data treated in the same manner need not arrive (say why). */
  readonly breaks?: string;
}

const ETHERTYPE_MPLS = 0x8847;
const junk = (n: number): Uint8Array => new Uint8Array(n).fill(0x58);

/** Cut [0, length) at the given places. */
function pieces(length: number, cuts: readonly number[]): [number, number][] {
  const ends = [...new Set([0, ...cuts.filter((c) => c > 0 && c < length), length])].toSorted((a, b) => a - b);
  return ends.slice(1).map((end, i) => [ends[i]!, end]);
}

function every(length: number, step: number): [number, number][] {
  return pieces(length, Array.from({ length: Math.ceil(length / step) }, (_, i) => i * step));
}

function sendAll(lab: Lab, payload: Uint8Array, list: readonly [number, number][]): void {
  for (const [from, to] of list) lab.send(from, payload.subarray(from, to));
}

/** TCP segment of the whole payload in fragments at these offsets (multiples of eight). */
function fragments(lab: Lab, payload: Uint8Array, step: number): { segment: Uint8Array; list: [number, number][] } {
  const segment = lab.segment(0, payload);
  return { segment, list: every(segment.length, step) };
}

/** A decoy that looks like data to an inspector and is discarded by the host, then the real thing in one segment. */
function decoy(name: string, make: (lab: Lab, length: number) => void, options?: LabOptions, breaks?: string): Evasion {
  return {
    group: 'TCP decoys',
    name,
    run: (lab, payload) => {
      lab.handshake();
      make(lab, payload.length);
      lab.send(0, payload);
      lab.send(0, payload);
    },
    ...(options ? { options } : {}),
    ...(breaks === undefined ? {} : { breaks }),
  };
}

const FIRST_WINS = 'the bytes seen first are the truth, so real data gives way to the decoy';

export const TCP_EVASIONS: readonly Evasion[] = [
  { group: 'TCP segments', name: 'one segment', run: (l, p) => l.handshake().send(0, p) },
  { group: 'TCP segments', name: 'one byte per segment', run: (l, p) => sendAll(l.handshake(), p, every(p.length, 1)) },
  { group: 'TCP segments', name: 'one byte per segment, last byte first', run: (l, p) => sendAll(l.handshake(), p, every(p.length, 1).toReversed()) },
  { group: 'TCP segments', name: 'odd segments before even ones', run: (l, p) => {
    const list = every(p.length, 3);
    sendAll(l.handshake(), p, [...list.filter((_, i) => i % 2 === 1), ...list.filter((_, i) => i % 2 === 0)]);
  } },
  { group: 'TCP segments', name: 'every segment twice', run: (l, p) => sendAll(l.handshake(), p, every(p.length, 5).flatMap((s) => [s, s])) },
  { group: 'TCP segments', name: 'first segment last', run: (l, p) => {
    const [first, ...rest] = every(p.length, 7);
    sendAll(l.handshake(), p, [...rest, first!]);
  } },
  { group: 'TCP segments', name: 'sliding overlap, same bytes', run: (l, p) => {
    l.handshake();
    for (let at = 0; at < p.length; at += 4) l.send(at, p.subarray(at, at + 12));
  } },
  { group: 'TCP segments', name: 'growing from the front, same bytes', run: (l, p) => {
    l.handshake();
    for (let n = 1; n <= p.length; n += 3) l.send(0, p.subarray(0, n));
    l.send(0, p);
  } },
  { group: 'TCP segments', name: 'a super-segment (GSO) of the client carries it', run: (l, p) => {
    l.handshake();
    const frame = l.frame(0, p);
    const header = frame.length - p.length;
    const gso = Math.ceil(p.length / 3);
    // Partial checksum, as a guest with offloads leaves it: the sum over the pseudo header.
    l.put(0, { bytes: partial(frame, header - 20, p.length + 20), vnetFlags: 1, gsoType: 1, gsoSize: gso, csumStart: header - 20, csumOff: 16 });
    l.acknowledge();
  } },
  { group: 'TCP segments', name: 'partial checksum (offload)', run: (l, p) => {
    l.handshake();
    const frame = l.frame(0, p);
    const header = frame.length - p.length;
    l.put(0, { bytes: partial(frame, header - 20, p.length + 20), vnetFlags: 1, csumStart: header - 20, csumOff: 16 });
    l.acknowledge();
  } },
  { group: 'TCP segments', name: 'sequence numbers wrap inside', run: (l, p) => sendAll(l.handshake(), p, every(p.length, 2)), options: { isn: -11 } },
  { group: 'TCP segments', name: 'IPv6', run: (l, p) => sendAll(l.handshake(), p, every(p.length, 9)), options: { v6: true } },
  { group: 'TCP segments', name: 'IPv6 with hop-by-hop and destination options', run: (l, p) => {
    l.handshake();
    for (const [from, to] of every(p.length, 9)) {
      const chain = [60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0];
      l.put(0, ethernet(0, ipv6(addresses(0, true), 0, chain, l.segment(from, p.subarray(from, to)))));
      l.acknowledge();
    }
  }, options: { v6: true } },

  // Overlaps with different bytes: what was forwarded first has to be what the host reads.
  { group: 'TCP overlaps', name: 'junk first, then the same place again', breaks: FIRST_WINS, run: (l, p) => {
    l.handshake();
    l.put(0, l.frame(1, junk(p.length - 1)));
    l.send(1, p.subarray(1));
    l.send(0, p.subarray(0, 1));
  } },
  { group: 'TCP overlaps', name: 'ahead of the gap: junk, then real, then the gap', breaks: FIRST_WINS, run: (l, p) => {
    l.handshake();
    for (const [from, to] of every(p.length, 6).slice(1)) {
      l.put(0, l.frame(from, junk(to - from)));
      l.put(0, l.frame(from, p.subarray(from, to)));
    }
    l.send(0, p.subarray(0, 6));
  } },
  { group: 'TCP overlaps', name: 'ahead of the gap: real, then junk over it', run: (l, p) => {
    l.handshake();
    for (const [from, to] of every(p.length, 6).slice(1)) {
      l.put(0, l.frame(from, p.subarray(from, to)));
      l.put(0, l.frame(from, junk(to - from)));
    }
    l.send(0, p.subarray(0, 6));
  } },
  { group: 'TCP overlaps', name: 'larger segment before, reaching over a smaller one', breaks: FIRST_WINS, run: (l, p) => {
    l.handshake();
    l.put(0, l.frame(10, junk(4)));
    l.put(0, l.frame(5, p.subarray(5)));
    l.send(0, p.subarray(0, 5));
  } },
  { group: 'TCP overlaps', name: 'partial: the tail of one differs from the head of the next', breaks: FIRST_WINS, run: (l, p) => {
    l.handshake();
    for (let at = 4; at < p.length; at += 4) l.put(0, l.frame(at, concat(p.subarray(at, at + 4), junk(4).subarray(0, Math.max(0, Math.min(4, p.length - at - 4))))));
    l.send(0, p.subarray(0, 4));
  } },
  { group: 'TCP overlaps', name: 'a differing retransmission under an acknowledgement that the client forged', breaks: FIRST_WINS, run: (l, p) => {
    l.handshake();
    // Never arrives at a host that is two routers away; here the host model asks for TTL 5.
    l.put(0, l.frame(0, junk(p.length), { ttl: 2 }));
    l.answer(ACK, { ack: (l.isn + 1 + p.length) | 0 }, 0);
    l.answer(ACK, { ack: (l.isn + 1 + p.length) | 0 }, 0);
    l.send(0, p);
    sendAll(l, p, every(p.length, 3));
  }, options: { host: { minTtl: 5 } } },
  { group: 'TCP overlaps', name: 'a fragmented segment over bytes sent before', breaks: FIRST_WINS, run: (l, p) => {
    l.handshake();
    l.put(0, l.frame(0, junk(p.length), { ttl: 2 }));
    const segment = l.segment(0, p);
    for (const [from, to] of every(segment.length, 24)) l.fragment(segment, from, to, 77);
    l.acknowledge();
  }, options: { host: { minTtl: 5 } } },

  decoy('wrong TCP checksum', (l, n) => l.put(0, l.frame(0, junk(n), { badSum: true }))),
  decoy('wrong IP header checksum', (l, n) => l.put(0, l.frame(0, junk(n), { badHeaderSum: true }))),
  decoy('TTL that does not reach the host', (l, n) => l.put(0, l.frame(0, junk(n), { ttl: 2 })), { host: { minTtl: 5 } }, FIRST_WINS),
  decoy('old timestamp (PAWS)', (l, n) => l.put(0, l.frame(0, junk(n), { tsVal: 1 })), { timestamps: true }, FIRST_WINS),
  decoy('MD5 signature nobody agreed on', (l, n) => l.put(0, l.frame(0, junk(n), { options: [19, 18, ...Array<number>(16).fill(1)] })), {}, FIRST_WINS),
  decoy('no ACK flag', (l, n) => l.put(0, l.frame(0, junk(n), { flags: PSH }))),
  decoy('SYN and FIN together', (l, n) => l.put(0, l.frame(0, junk(n), { flags: SYN | FIN }))),
  decoy('no flags, all flags', (l, n) => {
    l.put(0, l.frame(0, junk(n), { flags: 0 }));
    l.put(0, l.frame(0, junk(n), { flags: 0x3f }));
  }),
  decoy('before the window', (l, n) => l.put(0, l.frame(-1_000_000, junk(n)))),
  decoy('behind the window', (l, n) => l.put(0, l.frame(1_000_000, junk(n)))),
  decoy('acknowledges what was never sent', (l, n) => l.put(0, l.frame(0, junk(n), { ack: 0x4000_0000 }))),
  decoy('frame to a group address', (l, n) => l.put(0, l.frame(0, junk(n), { link: { dstMac: [255, 255, 255, 255, 255, 255] } })), {}, FIRST_WINS),
  decoy('inside an MPLS label the host does not know', (l, n) => {
    const packet = l.packet(0, l.segment(0, junk(n)), { proto: 6 });
    l.put(0, ethernet(0, concat([0, 1, 0x01, 64], packet), {}, ETHERTYPE_MPLS));
  }),
  decoy('inside an IP-in-IP tunnel the host does not end', (l, n) => {
    const inner = l.packet(0, l.segment(0, junk(n)), { proto: 6 });
    l.put(0, ethernet(0, ipv4(addresses(0), { proto: 4 }, inner)));
  }),
  decoy('data offset past the segment', (l, n) => {
    const frame = l.frame(0, junk(n));
    frame[14 + 20 + 12] = 0xf0;
    l.put(0, frame);
  }),
  decoy('IP length shorter than the TCP header', (l, n) => {
    const frame = l.frame(0, junk(n));
    frame[17] = 30;
    l.put(0, frame);
  }),
  decoy('keep-alive probes with garbage', (l) => {
    l.put(0, l.frame(-1, 'X', { flags: ACK }));
    l.put(0, l.frame(-1, '', { flags: ACK }));
  }),
  decoy('zero-window probe', (l) => {
    l.answer(ACK, { window: 0 });
    l.put(0, l.frame(0, junk(1), { ttl: 2 }));
    l.answer(ACK, { window: 65535 });
  }, { host: { minTtl: 5 } }, FIRST_WINS),

  // Handshakes.
  { group: 'TCP handshake', name: 'data on the SYN, ignored by the host', breaks: FIRST_WINS, run: (l, p) => {
    l.put(0, l.frame(-1, junk(8), { flags: SYN, ack: 0 }));
    l.answer(SYN | ACK, { seq: 0x1000 });
    l.put(0, l.frame(0, '', { flags: ACK }));
    l.send(0, p);
  } },
  { group: 'TCP handshake', name: 'all of the data on the SYN, kept by the host', run: (l, p) => {
    l.put(0, l.frame(-1, p, { flags: SYN, ack: 0 }));
    l.answer(SYN | ACK, { seq: 0x1000, ack: (l.isn + 1 + p.length) | 0 });
    l.put(0, l.frame(p.length, '', { flags: ACK }));
  }, options: { host: { synData: true } } },
  { group: 'TCP handshake', name: 'all of the data on the SYN, kept by the host, whose answer does not say so', run: (l, p) => {
    l.put(0, l.frame(-1, p, { flags: SYN, ack: 0 }));
    l.answer(SYN | ACK, { seq: 0x1000, ack: (l.isn + 1) | 0 });
    l.put(0, l.frame(0, '', { flags: ACK }));
  }, options: { host: { synData: true } }, breaks: 'such a host contradicts itself' },
  { group: 'TCP handshake', name: 'all of the data on the SYN, with a fast-open cookie', run: (l, p) => {
    l.put(0, l.frame(-1, p, { flags: SYN, ack: 0, options: [34, 10, 1, 2, 3, 4, 5, 6, 7, 8] }));
    l.acknowledge();
    l.answer(SYN | ACK, { seq: 0x1000 });
    l.put(0, l.frame(0, '', { flags: ACK }));
    l.send(0, p);
  }, options: { host: { fastOpen: true } } },
  { group: 'TCP handshake', name: 'the beginning of the data on the SYN, kept by the host', run: (l, p) => {
    l.put(0, l.frame(-1, p.subarray(0, 9), { flags: SYN, ack: 0 }));
    l.answer(SYN | ACK, { seq: 0x1000, ack: (l.isn + 10) | 0 });
    l.put(0, l.frame(9, '', { flags: ACK }));
    l.send(9, p.subarray(9));
  }, options: { host: { synData: true } } },
  { group: 'TCP handshake', name: 'a first SYN with data that never arrives, then another number', breaks: 'the second SYN contradicts the data of the first', run: (l, p) => {
    l.put(0, l.frame(-5001, 'A', { flags: SYN, ack: 0, ttl: 2 }));
    l.handshake().send(0, p);
  }, options: { host: { minTtl: 5 } } },
  { group: 'TCP handshake', name: 'a first SYN under another number, without data', run: (l, p) => {
    l.put(0, l.frame(-5001, '', { flags: SYN, ack: 0, ttl: 2 }));
    l.handshake().send(0, p);
  }, options: { host: { minTtl: 5 } } },
  { group: 'TCP handshake', name: 'the last ACK carries the data', run: (l, p) => {
    l.put(0, l.frame(-1, '', { flags: SYN, ack: 0 }));
    l.answer(SYN | ACK, { seq: 0x1000 });
    l.send(0, p);
  } },
  { group: 'TCP handshake', name: 'data overtakes the last ACK', run: (l, p) => {
    l.put(0, l.frame(-1, '', { flags: SYN, ack: 0 }));
    l.answer(SYN | ACK, { seq: 0x1000 });
    l.send(7, p.subarray(7));
    l.put(0, l.frame(0, '', { flags: ACK }));
    l.send(0, p.subarray(0, 7));
  } },
  { group: 'TCP handshake', name: 'the SYN again inside the connection', run: (l, p) => {
    l.handshake().send(0, p.subarray(0, 5));
    l.put(0, l.frame(4, junk(9), { flags: SYN, ack: 0 }));
    l.send(5, p.subarray(5));
  } },
  { group: 'TCP handshake', name: 'data before the server has answered', breaks: 'no host sends data before the handshake', run: (l, p) => {
    l.put(0, l.frame(-1, '', { flags: SYN, ack: 0 }));
    l.put(0, l.frame(0, p));
    l.answer(SYN | ACK, { seq: 0x1000 });
    l.send(0, p);
  } },
  { group: 'TCP handshake', name: 'the server answers with a SYN (split handshake)', breaks: 'refused: nobody needs it but evaders', run: (l, p) => {
    l.put(0, l.frame(-1, '', { flags: SYN, ack: 0 }));
    l.answer(SYN, { seq: 0x1000, ack: 0 });
    l.put(0, l.frame(-1, '', { flags: SYN | ACK, ack: 0x1001 }));
    l.answer(ACK, { seq: 0x1001 });
    l.send(0, p);
  } },
  { group: 'TCP handshake', name: 'no handshake at all (midstream)', breaks: 'no connection', run: (l, p) => l.send(0, p) },
  { group: 'TCP handshake', name: 'SYN+ACK forged by the client', breaks: 'the real answer contradicts the forged one', run: (l, p) => {
    l.put(0, l.frame(-5001, '', { flags: SYN, ack: 0, ttl: 2 }));
    l.answer(SYN | ACK, { seq: 0x1000, ack: (l.isn - 4999) | 0 }, 0);
    l.handshake().send(0, p);
    l.send(1, p.subarray(1));
  }, options: { host: { minTtl: 5 } } },

  // The end of a connection, real or not.
  { group: 'TCP teardown', name: 'FIN that never arrives, then data', breaks: 'nobody sends behind a FIN', run: (l, p) => {
    l.handshake().send(0, p.subarray(0, 6));
    l.put(0, l.frame(6, '', { flags: FIN | ACK, ttl: 2 }));
    l.send(6, p.subarray(6));
  }, options: { host: { minTtl: 5 } } },
  { group: 'TCP teardown', name: 'RST that never arrives, then data', breaks: 'nobody sends behind a RST', run: (l, p) => {
    l.handshake().send(0, p.subarray(0, 6));
    l.put(0, l.frame(6, '', { flags: RST, ttl: 2 }));
    l.send(6, p.subarray(6));
  }, options: { host: { minTtl: 5 } } },
  { group: 'TCP teardown', name: 'RST beside the edge of the window, then data', run: (l, p) => {
    l.handshake().send(0, p.subarray(0, 6));
    l.put(0, l.frame(16, '', { flags: RST }));
    l.send(6, p.subarray(6));
  } },
  { group: 'TCP teardown', name: 'RST with a wrong checksum, then data', run: (l, p) => {
    l.handshake().send(0, p.subarray(0, 6));
    l.put(0, l.frame(6, '', { flags: RST, badSum: true }));
    l.put(0, l.frame(6, '', { flags: FIN | ACK, badSum: true }));
    l.send(6, p.subarray(6));
  } },
  { group: 'TCP teardown', name: 'RST that never arrives, a new SYN, then the old connection goes on', breaks: 'the connection is over', run: (l, p) => {
    l.handshake().send(0, p.subarray(0, 6));
    l.put(0, l.frame(6, '', { flags: RST, ttl: 2 }));
    l.put(0, l.frame(-7777, '', { flags: SYN, ack: 0, ttl: 2 }));
    l.answer(ACK);
    l.answer(SYN | ACK, { seq: 0x1000, ack: (l.isn - 7775) | 0 }, 0);
    l.send(6, p.subarray(6));
  }, options: { host: { minTtl: 5 } } },
  { group: 'TCP teardown', name: 'the FIN carries the end of the data', run: (l, p) => {
    l.handshake().send(0, p.subarray(0, 6));
    l.send(6, p.subarray(6), { flags: FIN | ACK | PSH });
  } },
  { group: 'TCP teardown', name: 'the FIN comes before the data in front of it', run: (l, p) => {
    l.handshake().send(6, p.subarray(6), { flags: FIN | ACK | PSH });
    l.send(0, p.subarray(0, 6));
  } },
  { group: 'TCP teardown', name: 'forgotten in between (idle for four hours)', breaks: 'the connection timed out', run: (l, p) => {
    l.handshake().send(0, p.subarray(0, 12));
    l.now += 5 * 3600;
    for (let i = 0; i < 3; i++) l.session.maintain(++l.now);
    l.now += 5 * 86_400;
    for (let i = 0; i < 3; i++) l.session.maintain(++l.now);
    l.send(12, p.subarray(12));
  } },

  { group: 'TCP urgent data', name: 'a byte inserted as urgent data, taken out by the host', breaks: 'the urgent byte stays in the stream', run: (l, p) => {
    l.handshake();
    l.send(0, concat(p.subarray(0, 9), [0x58], p.subarray(9)), { flags: ACK | PSH | URG, urgent: 10 });
  }, options: { host: { outOfBand: true } } },
  { group: 'TCP urgent data', name: 'urgent pointer in every segment', breaks: 'urgent bytes stay in the stream', run: (l, p) => {
    l.handshake();
    let at = 0;
    for (const byte of p) {
      l.send(at, concat([byte], [0x58]), { flags: ACK | URG, urgent: 2 });
      at += 2;
    }
  }, options: { host: { outOfBand: true } } },
];

export const IP_EVASIONS: readonly Evasion[] = [
  ...[8, 16, 24].map((step): Evasion => ({ group: 'IP fragments', name: `fragments of ${step} bytes`, run: (l, p) => {
    const { segment, list } = fragments(l.handshake(), p, step);
    for (const [from, to] of list) l.fragment(segment, from, to, 99);
    l.acknowledge();
  } })),
  { group: 'IP fragments', name: 'last fragment first', run: (l, p) => {
    const { segment, list } = fragments(l.handshake(), p, 16);
    for (const [from, to] of list.toReversed()) l.fragment(segment, from, to, 99);
    l.acknowledge();
  } },
  { group: 'IP fragments', name: 'every fragment twice', run: (l, p) => {
    const { segment, list } = fragments(l.handshake(), p, 16);
    for (const [from, to] of list.flatMap((f) => [f, f])) l.fragment(segment, from, to, 99);
    l.acknowledge();
  } },
  { group: 'IP fragments', name: 'overlapping, same bytes', run: (l, p) => {
    const { segment } = fragments(l.handshake(), p, 8);
    for (let at = 0; at < segment.length; at += 8) l.fragment(segment, at, Math.min(segment.length, at + 24), 99);
    l.acknowledge();
  } },
  ...[true, false].map((junkFirst): Evasion => ({ group: 'IP fragments', name: `overlapping, different bytes, ${junkFirst ? 'junk' : 'real ones'} first`, breaks: 'contradicting fragments condemn their datagram (RFC 5722)', run: (l, p) => {
    const { segment, list } = fragments(l.handshake(), p, 16);
    const fake = concat(segment.subarray(0, 20), junk(segment.length - 20));
    for (const [from, to] of list.slice(2).toReversed()) {
      l.fragment(junkFirst ? fake : segment, from, to, 99);
      l.fragment(junkFirst ? segment : fake, from, to, 99);
    }
    for (const [from, to] of list.slice(0, 2)) l.fragment(segment, from, to, 99);
    l.acknowledge();
  } })),
  { group: 'IP fragments', name: 'segments and fragments together', run: (l, p) => {
    l.handshake();
    for (const [i, [from, to]] of every(p.length, 11).entries()) {
      const segment = l.segment(from, p.subarray(from, to));
      for (const [a, b] of every(segment.length, 8)) l.fragment(segment, a, b, 200 + i);
      l.acknowledge();
    }
  } },
  { group: 'IP fragments', name: 'a first fragment that never arrives completes a harmless datagram', breaks: 'a second datagram under a number that was just used', run: (l, p) => {
    l.handshake();
    const real = l.segment(0, p);
    const cut = 40;
    // Two datagrams that differ in their first fragment only; the checksum is in the first, so both are right.
    const fake = l.segment(0, concat(junk(cut - 20), p.subarray(cut - 20)));
    l.fragment(fake, 0, cut, 99, { ttl: 2 });
    l.fragment(real, cut, real.length, 99);
    l.fragment(real, 0, cut, 99);
    l.acknowledge();
  }, options: { host: { minTtl: 5 } } },
  { group: 'IP fragments', name: 'a first fragment with a wrong header checksum', breaks: 'a second datagram under a number that was just used', run: (l, p) => {
    l.handshake();
    const real = l.segment(0, p);
    const cut = 40;
    const fake = l.segment(0, concat(junk(cut - 20), p.subarray(cut - 20)));
    l.fragment(fake, 0, cut, 99, { badHeaderSum: true });
    l.fragment(real, cut, real.length, 99);
    l.fragment(real, 0, cut, 99);
    l.acknowledge();
  } },
  { group: 'IP fragments', name: 'the host forgets the first fragment before we do', breaks: 'a second datagram under a number that was just used', run: (l, p) => {
    l.handshake();
    const real = l.segment(0, p);
    const cut = 40;
    const fake = l.segment(0, concat(junk(cut - 20), p.subarray(cut - 20)));
    l.fragment(fake, 0, cut, 99);
    l.wait(40);
    l.fragment(real, cut, real.length, 99);
    l.fragment(real, 0, cut, 99);
    l.acknowledge();
  } },
  { group: 'IP fragments', name: 'a first fragment inside an MPLS label', breaks: 'a second datagram under a number that was just used', run: (l, p) => {
    l.handshake();
    const real = l.segment(0, p);
    const cut = 40;
    const fake = l.segment(0, concat(junk(cut - 20), p.subarray(cut - 20)));
    l.put(0, ethernet(0, concat([0, 1, 0x01, 64], ipv4(addresses(0), { proto: 6, id: 99, more: true }, fake.subarray(0, cut))), {}, ETHERTYPE_MPLS));
    l.fragment(real, cut, real.length, 99);
    l.fragment(real, 0, cut, 99);
    l.acknowledge();
  } },
  { group: 'IP fragments', name: 'two last fragments of different length', breaks: 'contradicts itself', run: (l, p) => {
    l.handshake();
    const real = l.segment(0, p);
    l.fragment(real, 0, 40, 99);
    l.fragment(junk(48), 40, 48, 99, { more: false });
    l.fragment(real, 40, real.length, 99);
    l.acknowledge();
  } },
  ...[8, 16].map((step): Evasion => ({ group: 'IP fragments', name: `IPv6, fragments of ${step} bytes`, options: { v6: true }, run: (l, p) => {
    const { segment, list } = fragments(l.handshake(), p, step);
    for (const [from, to] of list) l.fragment(segment, from, to, 99);
    l.acknowledge();
  } })),
  { group: 'IP fragments', name: 'IPv6 atomic fragments', options: { v6: true }, run: (l, p) => {
    l.handshake();
    for (const [from, to] of every(p.length, 10)) {
      l.put(0, ethernet(0, ipv6(addresses(0, true), 44, fragmentHeader(6, 0, false, 9), l.segment(from, p.subarray(from, to)))));
      l.acknowledge();
    }
  } },
  { group: 'IP fragments', name: 'IPv6, destination options behind the fragment header', options: { v6: true }, breaks: 'router advertisement guard refuses chains it would have to follow (RFC 7113)', run: (l, p) => {
    l.handshake();
    const whole = concat([6, 0, 1, 4, 0, 0, 0, 0], l.segment(0, p));
    for (const [from, to] of every(whole.length, 40)) l.fragment(whole, from, to, 99, { proto: 60 });
    l.acknowledge();
  } },
  { group: 'IP fragments', name: 'IPv6, headers that do not fit the first fragment', options: { v6: true }, breaks: 'forbidden by RFC 7112', run: (l, p) => {
    l.handshake();
    const whole = concat([6, 0, 1, 4, 0, 0, 0, 0], l.segment(0, p));
    for (const [from, to] of every(whole.length, 8)) l.fragment(whole, from, to, 99, { proto: 60 });
    l.acknowledge();
  } },
  { group: 'IP fragments', name: 'IPv6, options in front of the fragment header', options: { v6: true }, run: (l, p) => {
    l.handshake();
    const segment = l.segment(0, p);
    for (const [from, to] of every(segment.length, 16)) {
      l.put(0, ethernet(0, ipv6(addresses(0, true), 60, [44, 0, 1, 4, 0, 0, 0, 0, ...fragmentHeader(6, from, to < segment.length, 5)], segment.subarray(from, to))));
    }
    l.acknowledge();
  } },
  { group: 'Link layer', name: 'a priority tag (VLAN 0) on every frame', run: (l, p) => {
    l.handshake();
    for (const [from, to] of every(p.length, 9)) l.send(from, p.subarray(from, to), { link: { tags: [{ tpid: 0x8100, tci: 0xe000 }] } });
  } },
  { group: 'Link layer', name: 'half of the segments with a priority tag', run: (l, p) => {
    l.handshake();
    for (const [i, [from, to]] of every(p.length, 9).entries()) l.send(from, p.subarray(from, to), i % 2 === 0 ? { link: { tags: [{ tpid: 0x8100, tci: 0x2000 }] } } : {});
  } },
  { group: 'Link layer', name: 'IPv4 options on half of the segments', run: (l, p) => {
    l.handshake();
    for (const [i, [from, to]] of every(p.length, 9).entries()) l.send(from, p.subarray(from, to), i % 2 === 0 ? { ipOptions: [1, 1, 1, 0] } : {});
  } },
  { group: 'Link layer', name: 'padding behind the packet', run: (l, p) => {
    l.handshake();
    for (const [from, to] of every(p.length, 9)) {
      l.put(0, concat(l.frame(from, p.subarray(from, to)), latin1('padding that no host reads')));
      l.acknowledge();
    }
  } },
];

/** The frame with its TCP checksum as a guest with offloads leaves it. */
function partial(frame: Uint8Array, l4: number, length: number): Uint8Array {
  const out = frame.slice();
  let s = 6 + length;
  for (let i = 26; i < 34; i += 2) s += (out[i]! << 8) | out[i + 1]!;
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  out[l4 + 16] = s >>> 8;
  out[l4 + 17] = s & 0xff;
  return out;
}
