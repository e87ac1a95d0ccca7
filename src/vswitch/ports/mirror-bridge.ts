/**
 * Bridge thread of a mirror port: owns the capture process, moves its records into the shared ring and wakes the data
 * plane; hands responses to the process. The data-plane thread cannot do it: it has no event loop while it waits.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { SpscRing, le32 } from '../../util/index.js';
import { loadNative } from '../native.js';
import {
  C_ERROR_LEN,
  C_LOST,
  C_RESPONSES,
  C_STATE,
  CONTROL_CELLS,
  ERROR_BYTES,
  KIND_RESPONSE,
  KIND_STATUS,
  RECORD_HEADER,
  RecordReader,
  STATE_FAILED,
  STATE_RUNNING,
  putRecord,
  type BridgeData,
} from './mirror-protocol.js';

const data = workerData as BridgeData;
const control = new Int32Array(data.control, 0, CONTROL_CELLS);
const errorText = new Uint8Array(data.control, CONTROL_CELLS * 4, ERROR_BYTES);
const ring = new SpscRing(data.ring);
const native = loadNative();

function settle(state: number, text: string): void {
  const bytes = Buffer.from(text).subarray(0, ERROR_BYTES);
  errorText.set(bytes);
  Atomics.store(control, C_ERROR_LEN, bytes.length);
  Atomics.store(control, C_STATE, state);
  Atomics.notify(control, C_STATE);
}

const program = fileURLToPath(new URL('mirror-capture.js', import.meta.url));
const child = spawn(process.execPath, [program, data.interfaceName, data.filter, data.activeResponse ? 'respond' : 'listen'], { stdio: ['pipe', 'pipe', 'inherit'] });

const reader = new RecordReader((record, len) => {
  if (le32(record, 0) === KIND_STATUS) {
    const text = Buffer.from(record.slice(RECORD_HEADER, len)).toString();
    settle(text === '' ? STATE_RUNNING : STATE_FAILED, text);
  } else if (!ring.push(record, 0, len)) {
    Atomics.add(control, C_LOST, 1);
  }
});

child.stdout.on('data', (chunk: Buffer) => {
  reader.push(chunk);
  native.wakeFd(data.wakeFd);
});
child.on('error', (error) => settle(STATE_FAILED, error.message));
child.on('close', (code) => {
  if (Atomics.load(control, C_STATE) !== STATE_FAILED) settle(STATE_FAILED, `the capture process ended (status ${code})`);
  native.wakeFd(data.wakeFd);
  parentPort!.close();
});
// It ended while a response was being written; its end is reported by `close`.
child.stdin.on('error', () => child.stdin.destroy());

parentPort!.on('message', (packet: Uint8Array | null) => {
  if (packet === null) {
    child.stdin.end();
    return;
  }
  const record = Buffer.alloc(RECORD_HEADER + packet.length);
  putRecord(record, 0, KIND_RESPONSE, packet.length, 0, 0);
  record.set(packet, RECORD_HEADER);
  child.stdin.write(record, () => Atomics.sub(control, C_RESPONSES, 1));
});
