/**
 * pipeline: the words every stage shares - verdicts, drop reasons, connection-tracking states, events.
 * In: nothing. Out: types and tables, no engine and no state.
 * May import: util, packet. Imported by every stage, by vswitch and by the appliance.
 */
export { Verdict, isDrop } from './verdict.js';
export { DropReason, DROP_REASONS, type DropReasonRow } from './drop-reason.js';
export { CtState, CT_STATE_NAMES } from './ct-state.js';
export type { EventOutput, FlowFacts, SignatureInfo, TransactionRecord, WebEventOutput, WebRecord } from './event.js';
export * from './counters.js';
