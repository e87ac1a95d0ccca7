/**
 * Repeatable traffic for benchmarks: an Ethernet network of clients and servers, written into a capture file or a list of
 * frames. A fixed seed; checksums complete; one in eight connections is an HTTP exchange, the rest carry bytes nobody
 * recognises; DNS questions, pings, and connection attempts nobody answers (a scan) in between.
 */
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP, TCP_ACK, TCP_FIN, TCP_PSH, TCP_SYN, createCapture, finishIpv4, putEthernet, putIcmp, putIpv4, putTcp, putUdp } from '../src/packet/index.js';

const SERVER_MAC = 0x0002;
const CLIENT_MAC = 0x0001;
const ETHERTYPE_IPV4 = 0x0800;
const REQUEST = Buffer.from('GET /index.html?item=42 HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n\r\n');
const RESPONSE = Buffer.from(`HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n${'<p>lorem ipsum dolor sit amet</p>\n'.repeat(29).slice(0, 1000)}`);
const DNS = Buffer.from('\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01', 'latin1');

export type FrameSink = (buf: Uint8Array, len: number) => void;

/** Makes frames one after the other in one buffer. */
export class Traffic {
  readonly #buf = new Uint8Array(2048);
  readonly #sink: FrameSink;
  #random = 0x2545f491;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** xorshift32 */
  next(below: number): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return (x >>> 0) % below;
  }

  #frame(fromClient: boolean, client: number, server: number, proto: number): number {
    const at = fromClient ? putEthernet(this.#buf, 0, 0x0200, SERVER_MAC, 0x0200, CLIENT_MAC, ETHERTYPE_IPV4) : putEthernet(this.#buf, 0, 0x0200, CLIENT_MAC, 0x0200, SERVER_MAC, ETHERTYPE_IPV4);
    return fromClient ? putIpv4(this.#buf, at, client, server, proto, 64) : putIpv4(this.#buf, at, server, client, proto, 64);
  }

  #send(at: number, payload: Uint8Array): void {
    this.#buf.set(payload, at);
    const end = at + payload.length;
    finishIpv4(this.#buf, 14, end);
    this.#sink(this.#buf, Math.max(end, 60));
  }

  tcp(fromClient: boolean, client: number, port: number, service: number, seq: number, ack: number, flags: number, payload: Uint8Array): void {
    const at = this.#frame(fromClient, client, 0x0a630001, PROTO_TCP);
    this.#buf.fill(0, at, 80);
    this.#send(putTcp(this.#buf, at, fromClient ? port : service, fromClient ? service : port, seq, ack, flags, 0xffff), payload);
  }

  udp(fromClient: boolean, client: number, port: number, service: number, payload: Uint8Array): void {
    const at = this.#frame(fromClient, client, 0x0a630001, PROTO_UDP);
    this.#buf.fill(0, at, 80);
    this.#send(putUdp(this.#buf, at, fromClient ? port : service, fromClient ? service : port), payload);
  }

  /** One connection, opened, used and closed: 10 frames. */
  connection(client: number, port: number, http: boolean): void {
    const service = http ? 80 : 7000 + (client & 0xff);
    const ask = http ? REQUEST : RESPONSE.subarray(200, 456);
    const answer = http ? RESPONSE : RESPONSE.subarray(300, 900);
    const none = ask.subarray(0, 0);
    const [a, b] = [1_000_000, 2_000_000];
    this.tcp(true, client, port, service, a, 0, TCP_SYN, none);
    this.tcp(false, client, port, service, b, a + 1, TCP_SYN | TCP_ACK, none);
    this.tcp(true, client, port, service, a + 1, b + 1, TCP_ACK, none);
    this.tcp(true, client, port, service, a + 1, b + 1, TCP_ACK | TCP_PSH, ask);
    this.tcp(false, client, port, service, b + 1, a + 1 + ask.length, TCP_ACK, none);
    this.tcp(false, client, port, service, b + 1, a + 1 + ask.length, TCP_ACK | TCP_PSH, answer);
    this.tcp(true, client, port, service, a + 1 + ask.length, b + 1 + answer.length, TCP_ACK, none);
    this.tcp(true, client, port, service, a + 1 + ask.length, b + 1 + answer.length, TCP_ACK | TCP_FIN, none);
    this.tcp(false, client, port, service, b + 1 + answer.length, a + 2 + ask.length, TCP_ACK | TCP_FIN, none);
    this.tcp(true, client, port, service, a + 2 + ask.length, b + 2 + answer.length, TCP_ACK, none);
  }

  ping(client: number, id: number): void {
    const at = this.#frame(true, client, 0x0a630001, PROTO_ICMP);
    this.#buf.fill(0, at, 80);
    this.#send(putIcmp(this.#buf, at, 8, 0, id << 16), DNS);
  }

  /** About `frames` frames of all kinds. */
  mix(frames: number): void {
    for (let sent = 0, n = 0; sent < frames; n++) {
      const client = 0x0a000000 + this.next(50_000);
      const port = 1024 + this.next(60_000);
      switch (n % 8) {
        case 0:
          this.connection(client, port, true);
          sent += 10;
          break;
        case 1:
        case 2:
          this.connection(client, port, false);
          sent += 10;
          break;
        case 3:
          this.udp(true, client, port, 53, DNS);
          sent++;
          break;
        case 4:
          this.ping(client, port);
          sent++;
          break;
        default:
          for (let i = 0; i < 4; i++) this.tcp(true, client, port, this.next(65_535), 77, 0, TCP_SYN, DNS.subarray(0, 0));
          sent += 4;
      }
    }
  }
}

/** Write a capture of about `frames` frames, 100 000 to the second. @returns frames */
export function writeCapture(path: string, frames: number): number {
  const writer = createCapture(path);
  let n = 0;
  new Traffic((buf, len) => {
    writer.write(buf, 0, len, len, 1_700_000_000 + Math.floor(n / 100_000), (n % 100_000) * 10);
    n++;
  }).mix(frames);
  writer.close();
  return n;
}
