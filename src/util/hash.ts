/** Integer hashing (murmur3 rounds). Keyed with a per-process seed so that peers cannot aim at one bucket. */

/** Mix one int32 word into a running hash. */
export function mix32(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/** Finish a hash: every input bit reaches every output bit. Signed int32; mask or `>>>` it for a bucket. */
export function fmix32(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
