/** The other end of the handshake, for `drawbridge driver test`: shows that socket, token and policy are right, without a VM. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { decodeMessage, encodeMessage } from '../protocol/codec.js';
import { Capability, MessageType, REFUSAL_NAMES, VERSION } from '../protocol/limits.js';
import type { ApplianceMessage, DriverConfig } from '../protocol/messages.js';
import { applianceProof, driverProof, sameProof } from '../protocol/proof.js';
import { FrameSplitter } from '../protocol/splitter.js';
import { FieldWriter } from '../protocol/wire.js';

export type ProbeTarget = { readonly unix: string } | { readonly host: string; readonly port: number; readonly ca: Buffer | undefined };

const PROBE_MS = 5000;
const T = MessageType;

/**
 * Authenticate as the driver of a VM and ask for its policy; the VM's own driver is not disturbed.
 * @throws the system error, or Error that says who refused whom
 */
export async function probe(target: ProbeTarget, vm: string, token: string): Promise<DriverConfig> {
  const socket: Socket = 'unix' in target ? connect(target.unix) : connectTls({ host: target.host, port: target.port, ...(target.ca === undefined ? {} : { ca: target.ca }) });
  const writer = new FieldWriter();
  const splitter = new FrameSplitter();
  const own = randomBytes(32);
  let theirs: Uint8Array = own;
  let proven = false;
  try {
    return await new Promise<DriverConfig>((settle, reject) => {
      const step = (m: ApplianceMessage): void => {
        if (m.type === T.CHALLENGE) {
          theirs = m.nonce;
          socket.write(
            encodeMessage(writer, {
              type: T.HELLO, version: VERSION, capabilities: Capability.PROBE, nonce: own, proof: driverProof(token, theirs, own, vm), bootId: Buffer.alloc(16), vm,
              hostName: '', kernel: '', driver: 'probe',
            }),
          );
        } else if (m.type === T.WELCOME) {
          proven = sameProof(m.proof, applianceProof(token, theirs, own, vm));
          if (!proven) reject(new Error('whoever listens there does not know the token: it is not the appliance'));
        } else if (m.type === T.REFUSED) reject(new Error(`refused (${REFUSAL_NAMES[m.reason]}): ${m.text}`));
        else if (m.type === T.CONFIG && proven) settle(m);
        else reject(new Error('unexpected message'));
      };
      socket.setTimeout(PROBE_MS, () => reject(new Error('no answer')));
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('the connection was closed')));
      socket.on('data', (chunk: Buffer) => {
        try {
          splitter.push(chunk, chunk.length, (buf, at, length) => {
            step(decodeMessage(buf, at, length) as ApplianceMessage);
            return true;
          });
        } catch (error) {
          reject(error as Error);
        }
      });
    });
  } finally {
    socket.destroy();
  }
}
