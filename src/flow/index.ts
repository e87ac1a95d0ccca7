/**
 * flow: what a connection is - the flow table, TCP state and windows, ICMP relation, IP defragmentation, TCP reassembly
 * with first-bytes-win normalisation. In: decoded PacketViews in order and a clock. Out: flow ids, CtState, contiguous bytes.
 * Every table is bounded and counts what it refuses or evicts. No detection, no policy.
 * May import: util, packet, pipeline.
 */
export { Flow, TO_SERVER, TO_CLIENT, type Uninspected } from './flow.js';
export { StreamHalf } from './stream-half.js';
export { Budgets, type Budget } from './budget.js';
export { FlowTable, type FlowTableOptions } from './flow-table.js';
export { FlowPool } from './flow-pool.js';
export { vlanZone } from './flow-key.js';
export * from './flow-record.js';
export { FlowState, FLOW_STATE_NAMES, isHalfOpen, CONNTRACK_TIMEOUTS, DEEP_SECURITY_TIMEOUTS, type FlowTimeouts } from './tcp-state.js';
export { ConnTrack, type ConnTrackOptions } from './conntrack.js';
export { STREAM_EVENTS, StreamEvent, StreamEvents, type StreamEventName } from './stream-event.js';
export { StreamEngine, STREAM_OK, STREAM_DROP, type StreamOptions, type StreamSink } from './stream.js';
export { Expectations, HELPERS, type Expected, type Helper } from './expectations.js';
export { Defragmenter, DefragResult, type DefragOptions } from './defrag.js';
export { OVERLAP_POLICIES, type OverlapPolicy } from './datagram.js';
