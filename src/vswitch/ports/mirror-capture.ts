/**
 * Program of a mirror port's capture process: frames of an interface go to standard output as records, IP packets that
 * arrive on standard input leave by a raw socket. Arguments: interface, filter, "respond" or "listen".
 *
 * A process of its own because both packages bind to the main event loop of their process (in a worker thread the first
 * packet aborts it), and because a flood keeps that loop from everything else.
 */
import { createRequire } from 'node:module';
import type { Cap } from 'cap';
import type { RawSocket } from 'raw-socket';
import { PacketView, decode, destinationIp, LinkType } from '../../packet/index.js';
import { KIND_FRAME, KIND_STATUS, MAX_RECORD, RECORD_HEADER, RecordReader, putRecord } from './mirror-protocol.js';

const require = createRequire(import.meta.url);
const KERNEL_BUFFER = 16 * 1024 * 1024;
const OUTPUT_BUFFER = 256 * 1024;
/** Its sockets send packets with the header the caller wrote (raw(7)). */
const IPPROTO_RAW = 255;

/** What `cap` calls the link types it knows. */
const LINK_TYPES: Readonly<Record<string, number>> = {
  ETHERNET: LinkType.ETHERNET,
  NULL: LinkType.NULL,
  RAW: LinkType.RAW,
  LINKTYPE_LINUX_SLL: LinkType.LINUX_SLL,
};

/** `cap` keeps only the address of this buffer: it must never be collected. */
const frame = Buffer.alloc(MAX_RECORD);
let out = Buffer.alloc(OUTPUT_BUFFER);
let used = 0;
let scheduled = false;

function flush(): void {
  scheduled = false;
  if (used === 0) return;
  // A write to a pipe blocks while the reader is behind, so the stream holds no copy of `out` after it. The kernel's capture
  // buffer takes what comes meanwhile.
  process.stdout.write(out.subarray(0, used));
  out = process.stdout.writableLength > 0 ? Buffer.alloc(OUTPUT_BUFFER) : out;
  used = 0;
}

function emit(kind: number, bytes: Uint8Array, len: number): void {
  if (used + RECORD_HEADER + len > OUTPUT_BUFFER) flush();
  // The package does not hand over libpcap's time stamp.
  const now = Date.now();
  putRecord(out, used, kind, len, Math.floor(now / 1000), (now % 1000) * 1000);
  out.set(bytes.subarray(0, len), used + RECORD_HEADER);
  used += RECORD_HEADER + len;
  if (!scheduled) {
    scheduled = true;
    setImmediate(flush);
  }
}

function load<T>(name: string): T {
  try {
    return require(name) as T;
  } catch (error) {
    throw new Error(`mirror ports need the optional package "${name}" (npm run setup builds it; it needs a C++ compiler and libpcap-dev): ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function capture(interfaceName: string, filter: string): Cap {
  const { Cap } = load<typeof import('cap')>('cap');
  const cap = new Cap();
  const name = cap.open(interfaceName, filter, KERNEL_BUFFER, frame);
  const linkType = LINK_TYPES[name];
  if (linkType === undefined) throw new Error(`link type ${name} is not supported`);
  cap.on('packet', (length) => emit(KIND_FRAME + linkType, frame, Math.min(length, MAX_RECORD)));
  return cap;
}

/** Send the IP packets of response records. */
function respond(): RecordReader {
  const { AddressFamily, createSocket } = load<typeof import('raw-socket')>('raw-socket');
  const open = (addressFamily: number): RawSocket => {
    const socket = createSocket({ protocol: IPPROTO_RAW, addressFamily });
    socket.on('error', (error) => console.error(`mirror response: ${error.message}`));
    socket.pauseRecv();
    return socket;
  };
  const v4 = open(AddressFamily.IPv4);
  const v6 = open(AddressFamily.IPv6);
  const view = new PacketView();
  return new RecordReader((record, len) => {
    decode(view, record, RECORD_HEADER, len - RECORD_HEADER, LinkType.RAW);
    if (view.ipVersion === 0) return;
    const packet = Buffer.from(record.slice(RECORD_HEADER, len));
    (view.ipVersion === 4 ? v4 : v6).send(packet, 0, packet.length, destinationIp(view), (error) => {
      if (error !== null) console.error(`mirror response to ${destinationIp(view)}: ${error.message}`);
    });
  });
}

const [interfaceName = '', filter = '', mode = 'listen'] = process.argv.slice(2);
try {
  const responses = mode === 'respond' ? respond() : null;
  const cap = capture(interfaceName, filter);
  process.stdin.on('data', (chunk: Buffer) => responses?.push(chunk));
  // The bridge closes the pipe, or died.
  process.stdin.on('end', () => {
    cap.close();
    process.exit(0);
  });
  process.stdout.on('error', () => process.exit(0));
  emit(KIND_STATUS, frame, 0);
} catch (error) {
  const text = Buffer.from(error instanceof Error ? error.message : String(error));
  emit(KIND_STATUS, text, Math.min(text.length, MAX_RECORD));
  flush();
  process.exitCode = 1;
}
