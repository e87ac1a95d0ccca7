/**
 * firewall: Deep Security's rule model compiled into a flat classifier, and what stands around it. In: decoded PacketViews
 * with their connection-tracking state and the VMs at both ends. Out: verdicts with reason and rule, reject frames,
 * reconnaissance events, findings about rules. No payload.
 * May import: util, packet, pipeline, flow, protocols.
 */
export * from './model.js';
export { parseFirewall, type ParsedFirewall } from './config/parse.js';
export type { FirewallProblem } from './config/problems.js';
export { firewallSchema } from './config/schema.js';
export { Classifier, Decision, decisionOf, decisionRule, isPermitted } from './classifier.js';
export { PacketKey } from './packet-key.js';
export { Firewall, type FirewallLog } from './policy.js';
export { FirewallState } from './state.js';
export { ConnectionLimits } from './limits.js';
export { Recon, ReconKind, RECON_NAMES } from './recon.js';
export { PostureCheck } from './posture.js';
export { Rejecter, type RejectOptions } from './reject.js';
export { Reachability, type ReachAnswer, type ReachQuestion, type ReachStep } from './reach.js';
export { analyse, type Finding, type FindingKind } from './analysis.js';
