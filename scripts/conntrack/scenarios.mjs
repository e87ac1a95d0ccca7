/**
 * Generated TCP conversations for the comparison with the kernel, the same in every run: two honest hosts over a network that
 * loses, repeats and reorders, and the same with strangers that guess. Every conversation has addresses of its own.
 */
import { finishIpv4, finishIpv6, putIpv4, putIpv6, putTcp, TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN, TCP_URG } from '../../dist/src/packet/index.js';

const WINDOW_SCALE = 3;

/** Deterministic random numbers (xorshift32). */
function generator(seed) {
  let x = (seed * 0x9e3779b1) | 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

function host(address, port, isn, window, scale) {
  return { address, port, next: isn, window, scale, peer: null, last: null, got: 0, sent: 0, received: 0, limit: window };
}

class Conversation {
  packets = [];

  constructor(index, random) {
    this.v6 = random(4) === 0;
    this.random = random;
    const scale = random(2) === 0 ? random(9) : -1;
    const peerScale = scale >= 0 && random(4) > 0 ? random(9) : -1;
    this.scaled = scale >= 0 && peerScale >= 0;
    this.client = host(index * 2, 20_000 + (index % 40_000), random(2 ** 31) * 2, 1000 + random(60_000), scale);
    this.server = host(index * 2 + 1, 80, random(2 ** 31) * 2, 1000 + random(60_000), peerScale);
    this.client.peer = this.server;
    this.server.peer = this.client;
  }

  /** Append a segment without changing what the hosts know. */
  raw(from, flags, seq, ack, length = 0, window = from.window, option = false) {
    const buf = new Uint8Array(200 + length);
    const to = from.peer;
    const net = (host) => (0x0a00_0000 + host.address) | 0;
    let at = this.v6
      ? putIpv6(buf, 0, 0x2001_0db8, 0, 0, from.address, 0x2001_0db8, 0, 0, to.address, 6, 64)
      : putIpv4(buf, 0, net(from), net(to), 6, 64);
    const l4 = at;
    at = putTcp(buf, at, from.port, to.port, seq | 0, ack | 0, flags, Math.min(window, 65_535));
    if (option && from.scale >= 0) {
      buf[l4 + 12] = 6 << 4;
      buf.set([WINDOW_SCALE, 3, from.scale, 1], at);
      at += 4;
    }
    at += length;
    if (this.v6) finishIpv6(buf, 0, at);
    else finishIpv4(buf, 0, at);
    this.packets.push(buf.slice(0, at));
  }

  send(from, flags, length = 0) {
    const handshake = (flags & TCP_SYN) !== 0;
    const window = handshake || !this.scaled ? from.window : Math.max(1, from.window >> from.scale);
    // An honest sender stays within what its peer allows.
    if (!handshake) length = Math.max(0, Math.min(length, from.limit - from.sent));
    this.raw(from, flags, from.next, (flags & TCP_ACK) === 0 ? 0 : from.got, length, window, handshake);
    from.last = { flags, seq: from.next, length, window };
    from.next = (from.next + length + (flags & TCP_SYN ? 1 : 0) + (flags & TCP_FIN ? 1 : 0)) >>> 0;
    from.sent += length;
    // Seldom a segment or what acknowledges it is lost: then the peer's word about how far it has come is older.
    if (this.random(50) > 0 || handshake) {
      from.peer.got = from.next;
      from.peer.received = from.sent;
    }
    from.peer.limit = from.received + (handshake || !this.scaled ? window : window << from.scale);
  }

  repeat(from) {
    const l = from.last;
    if (l) this.raw(from, l.flags, l.seq, (l.flags & TCP_ACK) === 0 ? 0 : from.got, l.length, l.window, (l.flags & TCP_SYN) !== 0);
  }

  repeatBoth(first) {
    this.repeat(first);
    this.repeat(first.peer);
  }

  handshake() {
    const { client, server, random } = this;
    if (random(40) === 0) {
      // Simultaneous open (RFC 9293 figure 7).
      this.raw(client, TCP_SYN, client.next, 0, 0, client.window, true);
      this.raw(server, TCP_SYN, server.next, 0, 0, server.window, true);
      this.scaled = client.scale >= 0 && server.scale >= 0;
      client.got = (server.next + 1) >>> 0;
      server.got = (client.next + 1) >>> 0;
      this.raw(client, TCP_SYN | TCP_ACK, client.next, client.got, 0, client.window, true);
      this.raw(server, TCP_SYN | TCP_ACK, server.next, server.got, 0, server.window, true);
      client.next = server.got;
      server.next = client.got;
      return;
    }
    this.send(client, TCP_SYN);
    if (random(8) === 0) this.repeat(client);
    this.send(server, TCP_SYN | TCP_ACK);
    if (random(8) === 0) this.repeatBoth(client);
    this.send(client, TCP_ACK);
    if (random(12) === 0) this.repeatBoth(server);
  }

  talk(steps) {
    const { random } = this;
    for (let i = 0; i < steps; i++) {
      const from = random(2) === 0 ? this.client : this.server;
      const what = random(20);
      if (what < 12) this.send(from, TCP_ACK | (random(2) ? TCP_PSH : 0), random(Math.max(1, Math.min(from.peer.window, 1200))));
      else if (what < 16) this.send(from, TCP_ACK);
      else if (what < 18) this.repeat(from);
      // Keep-alive probe (RFC 1122 section 4.2.3.6) and its answer.
      else if (what === 18) {
        this.raw(from, TCP_ACK, from.next - 1, from.got, random(2));
        this.send(from.peer, TCP_ACK);
      } else this.send(from, TCP_ACK, from.limit - from.sent);
    }
  }

  finish() {
    const { random } = this;
    const first = random(2) === 0 ? this.client : this.server;
    const second = first.peer;
    const how = random(10);
    if (how < 2) return this.send(first, TCP_RST | (random(2) ? TCP_ACK : 0));
    this.send(first, TCP_FIN | TCP_ACK);
    if (how < 4) {
      // Both close at once (RFC 9293 figure 13).
      second.got = (second.got - 1) >>> 0;
      this.send(second, TCP_FIN | TCP_ACK);
      second.got = first.next;
      this.send(first, TCP_ACK);
      return this.send(second, TCP_ACK);
    }
    this.send(second, TCP_ACK);
    for (let i = how < 6 ? random(4) : 0; i > 0; i--) {
      this.send(second, TCP_ACK, random(500));
      this.send(first, TCP_ACK);
    }
    this.send(second, TCP_FIN | TCP_ACK);
    if (random(6) === 0) this.repeat(second);
    this.send(first, TCP_ACK);
    if (random(6) === 0) this.repeatBoth(second);
    if (random(6) === 0) this.reopen();
  }

  /** The same ports again with a later sequence number (RFC 9293 section 3.6.1). */
  reopen() {
    this.client.next = (this.client.next + 100_000) >>> 0;
    this.server.next = (this.server.next + 100_000) >>> 0;
    this.send(this.client, TCP_SYN);
    this.send(this.server, TCP_SYN | TCP_ACK);
    this.send(this.client, TCP_ACK);
    this.talk(4);
  }

  /** Somebody who knows addresses and ports, and guesses the rest. */
  stranger() {
    const { random } = this;
    const from = random(2) === 0 ? this.client : this.server;
    const flags = [TCP_ACK, TCP_SYN, TCP_SYN | TCP_ACK, TCP_RST, TCP_RST | TCP_ACK, TCP_FIN | TCP_ACK, TCP_FIN, TCP_FIN | TCP_PSH | TCP_URG, 0, TCP_SYN | TCP_FIN][random(10)];
    const off = [0, 1, -1, random(1000), -random(1000), random(100_000), -random(100_000), random(2 ** 31)][random(8)];
    const ack = [0, 1, -random(1000), -random(200_000), random(2 ** 31)][random(5)];
    this.raw(from, flags, from.next + off, from.got + ack, random(3) === 0 ? random(100) : 0);
  }
}

/** Conversations of two honest hosts. @returns arrays of packets, from their IP headers on */
export function honest(count, seed = 1) {
  return Array.from({ length: count }, (_, i) => {
    const c = new Conversation(i, generator(seed + i));
    c.handshake();
    c.talk(c.random(30));
    c.finish();
    return c.packets;
  });
}

/** As `honest`, with forged segments in between. */
export function disturbed(count, seed = 2) {
  return Array.from({ length: count }, (_, i) => {
    const c = new Conversation(100_000 + i, generator(seed * 7919 + i));
    if (c.random(10) === 0) c.stranger();
    c.handshake();
    for (let k = c.random(4); k > 0; k--) {
      c.talk(c.random(8));
      c.stranger();
    }
    c.talk(c.random(8));
    c.finish();
    if (c.random(3) === 0) c.stranger();
    return c.packets;
  });
}
