/**
 * A capture in the making: frames with fixed timestamps between the hosts of the lab. Everything here is a function of
 * its arguments, so that a capture has the same bytes whenever and wherever it is made.
 */
import {
  ETHERTYPE_IPV4,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
  PcapWriter,
  finishIpv4,
  putEthernet,
  putIcmp,
  putIpv4,
  putTcp,
  putUdp,
} from '../../dist/src/packet/index.js';

/** First timestamp of every capture: 2026-01-01 00:00:00 UTC. */
const EPOCH_SEC = 1_767_225_600;
const TTL = 64;
const MAX_FRAME = 65_536;

function host(lastByte) {
  return { ip: 0x0a4d0000 | lastByte, macHi: 0x0200, macLo: 0x0a4d0000 | lastByte };
}

/** Who talks in the captures, 10.77.0.0/24 as in the lab. */
export const ATTACKER = host(66);
export const SERVER = host(10);
export const CLIENT = host(20);

export class Capture {
  /** @type {{at: number, bytes: Uint8Array}[]} */
  #frames = [];
  #buf = new Uint8Array(MAX_FRAME);
  /** Microseconds since the first frame. */
  now = 0;

  /** Let time pass. @param {number} usec */
  wait(usec) {
    this.now += usec;
  }

  /** One TCP segment; `mss` adds the option that SYN segments carry. */
  tcp(from, fromPort, to, toPort, seq, ack, flags, window, payload, mss = 0) {
    const l3 = this.#link(from, to, PROTO_TCP);
    const l4 = l3 + 20;
    const data = putTcp(this.#buf, l4, fromPort, toPort, seq >>> 0, ack >>> 0, flags, window, mss === 0 ? 0 : 4);
    if (mss !== 0) this.#buf.set([2, 4, mss >>> 8, mss & 0xff], l4 + 20);
    this.#finish(l3, data, payload);
  }

  udp(from, fromPort, to, toPort, payload) {
    const l3 = this.#link(from, to, PROTO_UDP);
    this.#finish(l3, putUdp(this.#buf, l3 + 20, fromPort, toPort), payload);
  }

  /** @param {number} rest second word of the header: identifier and sequence number of an echo */
  icmp(from, to, type, code, rest, payload) {
    const l3 = this.#link(from, to, PROTO_ICMP);
    this.#finish(l3, putIcmp(this.#buf, l3 + 20, type, code, rest), payload);
  }

  #link(from, to, proto) {
    const l3 = putEthernet(this.#buf, 0, to.macHi, to.macLo, from.macHi, from.macLo, ETHERTYPE_IPV4);
    putIpv4(this.#buf, l3, from.ip, to.ip, proto, TTL);
    return l3;
  }

  #finish(l3, dataAt, payload) {
    if (dataAt + payload.length > MAX_FRAME) throw new RangeError(`a payload of ${payload.length} bytes does not fit a packet`);
    this.#buf.set(payload, dataAt);
    const end = dataAt + payload.length;
    finishIpv4(this.#buf, l3, end);
    this.#frames.push({ at: this.now, bytes: this.#buf.slice(0, end) });
  }

  /** Write all frames in order of time. @param {string} path */
  save(path) {
    const writer = new PcapWriter(path);
    for (const { at, bytes } of this.#frames) {
      writer.write(bytes, 0, bytes.length, bytes.length, EPOCH_SEC + Math.floor(at / 1e6), at % 1e6);
    }
    writer.close();
  }
}
