/**
 * flow: what a connection is - the flow table, TCP state and windows, ICMP relation, IP defragmentation, TCP reassembly
 * with first-bytes-win normalisation. In: decoded PacketViews in order and a clock. Out: flow ids, CtState, contiguous bytes.
 * Every table is bounded and counts what it refuses or evicts. No detection, no policy.
 * May import: util, packet, pipeline.
 */
export { Flow, TO_SERVER, TO_CLIENT, type Uninspected } from './flow.js';
export { StreamHalf } from './stream-half.js';
