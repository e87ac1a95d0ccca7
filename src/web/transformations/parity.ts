/** The three transformations that set or clear the highest bit: parityEven7bit, parityOdd7bit, parityZero7bit. */
import { toScratch, type ByteString } from '../value.js';
import { transformation, type TransformFunction } from './transformation.js';

function isOddOf(byte: number): boolean {
  let x = byte;
  x ^= x >> 4;
  x ^= x >> 2;
  x ^= x >> 1;
  return (x & 1) === 1;
}

/** @param target what each byte becomes */
function byTable(target: (byte: number) => number): TransformFunction {
  const table = Uint8Array.from({ length: 256 }, (_, byte) => target(byte));
  return (value: ByteString) => {
    const length = value.length;
    const buf = toScratch(value);
    let changed = 0;
    for (let i = 0; i < length; i++) {
      const byte = buf[i]!;
      const to = table[byte]!;
      changed |= byte ^ to;
      buf[i] = to;
    }
    return changed === 0 ? value : buf.toString('latin1', 0, length);
  };
}

const even = byTable((byte) => (isOddOf(byte) ? byte | 0x80 : byte & 0x7f));
const odd = byTable((byte) => (isOddOf(byte) ? byte & 0x7f : byte | 0x80));
const zero = byTable((byte) => byte & 0x7f);

export const parityEven7bit = transformation({
  name: 'parityEven7bit',
  help: 'Bit 8 of every byte to even parity.',
  create: () => even,
});

export const parityOdd7bit = transformation({
  name: 'parityOdd7bit',
  help: 'Bit 8 of every byte to odd parity.',
  create: () => odd,
});

export const parityZero7bit = transformation({
  name: 'parityZero7bit',
  help: 'Bit 8 of every byte cleared.',
  create: () => zero,
});
