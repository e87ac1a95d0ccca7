/**
 * What protocols of single messages share: a transaction that is one message in one direction, and buffers that are plain
 * bytes of a transaction.
 */
import { TO_SERVER } from '../flow/index.js';
import { Transaction, type BufferSpec, type ByteSlice } from './transaction.js';

/** One message, complete as soon as it is read and judged in its own direction only. */
export abstract class MessageTransaction extends Transaction {
  /** Direction the message travelled: 0 to server. */
  readonly dir: number;

  constructor(id: number, dir: number) {
    super();
    this.id = id;
    this.dir = dir;
    this.progressToServer = this.progressToClient = 1;
    this.doneToServer = this.doneToClient = true;
    this.dirtyToServer = dir === TO_SERVER;
    this.dirtyToClient = dir !== TO_SERVER;
  }
}

/**
 * One protocol data unit for the keyword frame. Frames are judged one by one, apart from the transactions they belong to,
 * and are never logged.
 */
export class FrameTransaction extends MessageTransaction {
  /** @param parts bytes by frame type */
  constructor(
    id: number,
    dir: number,
    readonly parts: Readonly<Record<string, Uint8Array>>,
  ) {
    super(id, dir);
  }

  override record(): null {
    return null;
  }
}

/** Longest part of a data unit that frame rules see. */
export const FRAME_MAX = 4096;

/** Buffer of the frames of one type: `frame.mqtt.pdu`. */
export function frameBuffer(protocol: string, type: string): BufferSpec<Transaction> {
  return {
    name: `frame.${protocol}.${type}`,
    toServer: true,
    toClient: true,
    minProgress: 0,
    get(tx: Transaction, dir: number, index: number, out: ByteSlice): boolean {
      const part = index === 0 && tx instanceof FrameTransaction && tx.dir === dir ? tx.parts[type] : undefined;
      return part !== undefined && out.set(part, 0, part.length);
    },
  };
}

/** Directions a buffer or number exists in; the bits are those of rules. */
export const Directions = { TO_SERVER: 1, TO_CLIENT: 2, BOTH: 3 } as const;

/**
 * A buffer made of bytes the transaction keeps. `bytes` gives instance `index` for direction `dir`, or null when there is
 * none (yet); empty bytes are a buffer without content.
 */
export function bytesBuffer<T extends Transaction>(
  name: string,
  directions: number,
  minProgress: number,
  bytes: (tx: T, dir: number, index: number) => Uint8Array | null | undefined,
): BufferSpec<Transaction> {
  return {
    name,
    toServer: (directions & Directions.TO_SERVER) !== 0,
    toClient: (directions & Directions.TO_CLIENT) !== 0,
    minProgress,
    get(tx: Transaction, dir: number, index: number, out: ByteSlice): boolean {
      const value = tx instanceof FrameTransaction ? null : bytes(tx as T, dir, index);
      return value !== null && value !== undefined && out.set(value, 0, value.length);
    },
  };
}
