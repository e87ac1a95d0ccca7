/**
 * protocols: application parsers. In: contiguous bytes of a flow's directions (from flow's reassembly) or datagrams.
 * Out: transactions with named buffers, application-layer events and log records. One file or folder per protocol,
 * one registry; protocols are recognised by content, not by port. Knows no rules.
 * May import: util, packet, pipeline, flow.
 */
export { ByteSlice, Transaction, type BufferSpec } from './transaction.js';
export { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';
