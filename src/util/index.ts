/**
 * util: small parts that know nothing of networking - byte access, bounded tables, timer wheel, rings, token buckets.
 * In and out: plain numbers and bytes. Time and randomness are arguments. May import: nothing.
 */
export { SpscRing } from './spsc-ring.js';
