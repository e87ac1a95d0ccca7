/** Transforms between a sticky buffer and the contents that look at it. One class each; applied in rule order. */

/** Growing scratch bytes; the contents are valid until the next transform runs. */
export class Scratch {
  bytes = new Uint8Array(4096);
  length = 0;

  /** Room for `length` bytes, old contents given up. */
  reserve(length: number): Uint8Array {
    if (this.bytes.length < length) this.bytes = new Uint8Array(Math.max(length, this.bytes.length * 2));
    return this.bytes;
  }
}

export abstract class Transform {
  /** Text that names the transform with its options: equal text, equal result. */
  abstract readonly key: string;
  /** @returns false when the transform yields nothing to inspect */
  abstract apply(buf: Uint8Array, off: number, len: number, out: Scratch): boolean;
}
