/**
 * util: small parts that know nothing of networking - byte access, hashing, bounded tables, timer wheel, rings, buckets.
 * In: plain numbers and bytes. Out: the same; everything that can grow is bounded. Time and randomness are arguments, no I/O.
 * May import: @drawbridge/native (DEFLATE), no other room. Imported by every room.
 */
export { be16, be32, le16, le32, putBe16, putBe32, putLe16, putLe32, toHex, fromHex } from './bytes.js';
export { copyRange, equalRange } from './copy-range.js';
export { mix32, fmix32 } from './hash.js';
export { SpscRing } from './spsc-ring.js';
export { TimerWheel } from './timer-wheel.js';
export { BytePool } from './byte-pool.js';
export { TokenBuckets } from './token-bucket.js';
export { Inflate, INFLATE_END, INFLATE_ERROR, INFLATE_MORE, INFLATE_STOPPED, type ByteSink } from './inflate.js';
