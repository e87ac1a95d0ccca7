/** Applies a list of transforms, ping-pong between two scratch buffers, and points the context at the result. */
import type { InspectContext } from './match/context.js';
import { Scratch, type Transform } from './transform.js';

export class TransformRunner {
  readonly #first = new Scratch();
  readonly #second = new Scratch();

  /** @returns false when a transform leaves nothing to inspect */
  apply(ctx: InspectContext, transforms: readonly Transform[], buf: Uint8Array, off: number, len: number, position: number, complete: boolean): boolean {
    let out = this.#first;
    for (let i = 0; i < transforms.length; i++) {
      if (!transforms[i]!.apply(buf, off, len, out)) return false;
      buf = out.bytes;
      off = 0;
      len = out.length;
      position = 0;
      out = out === this.#first ? this.#second : this.#first;
    }
    ctx.setBuffer(buf, off, len, position, complete);
    return true;
  }
}
