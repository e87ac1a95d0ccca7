/** HTTP/1 parser alone: simple requests per second, and requests with their responses. `node dist/bench/http1.js [seconds]` */
import { Flow } from '../src/flow/index.js';
import { PacketView } from '../src/packet/packet-view.js';
import type { EventOutput } from '../src/pipeline/index.js';
import { AppLayer, ProtocolRegistry } from '../src/protocols/index.js';

const REQUEST = Buffer.from('GET /images/logo.png HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n');
const RESPONSE = Buffer.from('HTTP/1.1 200 OK\r\nServer: lab\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!');

const silent: EventOutput = { logsTransactions: true, alert: () => undefined, drop: () => undefined, transaction: () => undefined, anomaly: () => undefined };

/** Exchanges per second. Logging is part of the exchange: its record is built as in production. */
function run(seconds: number, withResponse: boolean): number {
  const app = new AppLayer(new ProtocolRegistry(), silent);
  const view = new PacketView();
  const flow = new Flow();
  let n = 0;
  const feed = (dir: number, data: Buffer): void => {
    const half = flow.half(dir);
    view.flowDir = dir;
    view.srcPort = dir === 0 ? 40000 : 80;
    view.dstPort = dir === 0 ? 80 : 40000;
    half.base = half.parsed;
    half.buf = data;
    half.len = data.length;
    app.data(view, flow, dir);
  };
  const until = performance.now() + seconds * 1000;
  while (performance.now() < until) {
    for (let i = 0; i < 1000; i++) {
      feed(0, REQUEST);
      if (withResponse) {
        feed(1, RESPONSE);
        app.settle(view, flow);
      } else {
        // requests only: drop the open exchange as the flow's end would
        app.release(flow);
        flow.reset();
      }
      n++;
    }
  }
  return n / seconds;
}

const seconds = Number(process.argv[2] ?? 2);
run(0.3, false);
run(0.3, true);
console.log(JSON.stringify({ requests_per_s: Math.round(run(seconds, false)), exchanges_per_s: Math.round(run(seconds, true)) }));
