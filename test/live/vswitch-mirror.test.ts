/** Passive capture of the loopback interface: frames through the capture process, and a reset that cuts a connection. */
import { createSocket } from 'node:dgram';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { D_LINK_TYPE, D_OFF, D_STRIDE, FrameBatch, LinkType, PROTO_TCP, PacketView, TCP_RST, decodeBatchRow, finishIpv4, putIpv4, putTcp } from '../../src/packet/index.js';
import { Counters, P_CONSUMED, Verdict } from '../../src/pipeline/index.js';
import { MirrorPort, PortSet, Switch, type Inspector } from '../../src/vswitch/index.js';

/** Why capturing is impossible here, '' when it is not. */
function refusal(): string {
  const port = new MirrorPort({ interface: 'lo', activeResponse: true });
  const set = new PortSet(new FrameBatch(4));
  try {
    set.add(0, port);
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    set.close();
  }
}

const why = refusal();
const live = why === '' ? test.serial : test.serial.skip;
if (why !== '') console.log(`mirror test skipped: ${why}`);

async function listen(): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    // Not at once: a reset in the server's name has to come before its next byte, as it does across a network.
    socket.on('data', () => setTimeout(() => void (socket.writable && socket.write('answer')), 100));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return { server, port: (server.address() as AddressInfo).port };
}

live('frames of the interface reach the inspector and are consumed', async (t) => {
  const seen: string[] = [];
  const inspector: Inspector = {
    inspect(view) {
      seen.push(Buffer.from(view.buf.slice(view.payloadOff, view.payloadOff + view.payloadLen)).toString());
      return Verdict.PASS;
    },
    admit: () => Verdict.PASS,
  };
  const udp = createSocket('udp4');
  const receiver = createSocket('udp4');
  await new Promise<void>((resolve) => {
    receiver.bind(0, '127.0.0.1', resolve);
  });
  const { port } = receiver.address();
  const batch = new FrameBatch(4);
  const set = new PortSet(batch);
  const counters = new Counters(1);
  try {
    set.add(0, new MirrorPort({ interface: 'lo', filter: `udp dst port ${port}` }));
    const sw = new Switch([{ name: 'mirror', passive: true }], batch, counters, inspector, set);
    for (let i = 0; i < 20; i++) udp.send(`frame ${i}`, port, '127.0.0.1');
    const deadline = Date.now() + 10_000;
    while (seen.length < 20 && Date.now() < deadline) {
      await sleep(5);
      set.poll(5);
      sw.processBatch(0);
    }
    t.deepEqual(seen, Array.from({ length: 20 }, (_, i) => `frame ${i}`));
    t.is(counters.port(0, P_CONSUMED), 20);
    t.is(counters.unaccounted(0), 0);
  } finally {
    set.close();
    udp.close();
    receiver.close();
  }
});

live('a reset answers a connection that is only overheard', async (t) => {
  const { server, port } = await listen();
  const batch = new FrameBatch(4);
  const set = new PortSet(batch);
  const view = new PacketView();
  /** Reset the receiver of whatever the client sent, in the server's name. */
  const answer = (row: number): boolean => {
    decodeBatchRow(view, batch, row);
    if (view.dstPort !== port || view.payloadLen === 0) return false;
    const out = batch.inject(40, 0, 0, 0);
    const at = batch.desc[out * D_STRIDE + D_OFF]!;
    // Behind no link header: the descriptor says so.
    batch.desc[out * D_STRIDE + D_LINK_TYPE] = LinkType.RAW;
    putTcp(batch.arena, putIpv4(batch.arena, at, view.dst0, view.src0, PROTO_TCP, 64), view.dstPort, view.srcPort, view.ack, 0, TCP_RST, 0);
    finishIpv4(batch.arena, at, at + 40);
    return batch.send(out, 0);
  };
  try {
    set.add(0, new MirrorPort({ interface: 'lo', filter: `tcp port ${port}`, activeResponse: true }));
    const client = connect(port, '127.0.0.1');
    const failures: string[] = [];
    client.on('error', (error: NodeJS.ErrnoException) => failures.push(error.code ?? error.message));
    client.on('connect', () => client.write('question'));
    client.on('data', () => setTimeout(() => client.write('again'), 20));
    const deadline = Date.now() + 10_000;
    let sent = 0;
    while (failures.length === 0 && Date.now() < deadline) {
      await sleep(2);
      const rows = set.poll(2);
      for (let row = 0; row < rows; row++) if (answer(row)) sent++;
      if (batch.txCount > 0) t.is(set.flush(batch.txCount), 0);
    }
    t.deepEqual(failures, ['ECONNRESET']);
    t.true(sent > 0);
  } finally {
    set.close();
    server.close();
  }
});

live('an interface that is none, a filter that is none, a frame that is no answer', (t) => {
  const set = new PortSet(new FrameBatch(4));
  t.throws(() => set.add(0, new MirrorPort({ interface: 'no-such-if' })), { message: /mirror of no-such-if: .+/ });
  t.throws(() => set.add(0, new MirrorPort({ interface: 'lo', filter: 'nonsense (' })), { message: /mirror of lo: .+/ });
  const batch = new FrameBatch(4);
  const listening = new PortSet(batch);
  listening.add(0, new MirrorPort({ interface: 'lo', activeResponse: true }));
  batch.inject(60, 0, 0, 0);
  batch.send(0, 0);
  t.is(listening.flush(1), 1);
  listening.close();
  set.close();
});
