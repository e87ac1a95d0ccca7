/** A VM's policy, ready to judge: its classifier and what the other settings boil down to. */
import { PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP } from '../packet/index.js';
import { Classifier } from './classifier.js';
import type { FirewallPolicy, VmPolicy } from './model.js';
import { Posture } from './posture.js';

/** One VM's policy, ready to judge. */
export class CompiledPolicy {
  readonly policy: VmPolicy;
  readonly classifier: Classifier;
  readonly inline: boolean;
  readonly posture: Posture;
  /** Checks every packet has to pass, established ones too. */
  readonly checksPackets: boolean;
  /** Packets that isSuspect() points out are looked at. */
  readonly hygienic: boolean;
  readonly limited: boolean;

  constructor(policy: VmPolicy, classifier: Classifier) {
    this.policy = policy;
    this.classifier = classifier;
    this.inline = policy.mode === 'inline';
    const s = policy.stateful;
    this.posture = new Posture(policy.posture);
    this.checksPackets = s.denyFragments || s.denyCongestionFlags || this.posture.perPacket !== 0;
    this.hygienic = policy.hygiene.checks !== 0 || policy.hygiene.minMss > 0;
    this.limited = s.maxIncomingPerPeer + s.maxOutgoingPerPeer + s.maxHalfOpenPerPeer > 0;
  }

  /** Is connection tracking believed for this protocol? Others than TCP, UDP and ICMP always follow their flow. */
  tracks(proto: number): boolean {
    const s = this.policy.stateful;
    if (proto === PROTO_TCP) return s.tcp;
    if (proto === PROTO_UDP) return s.udp;
    if (proto === PROTO_ICMP || proto === PROTO_ICMPV6) return s.icmp;
    return true;
  }
}

/** Policies of the VMs; VMs with the same rules share one classifier. */
export function compilePolicies(policy: FirewallPolicy, vmPolicies: readonly (string | null)[]): (CompiledPolicy | null)[] {
  const compiled = new Map<string, CompiledPolicy | null>();
  const classifiers = new Map<string, Classifier>();
  return vmPolicies.map((name, vm) => {
    if (name === null) return null;
    const known = compiled.get(name);
    if (known !== undefined) return known;
    const vmPolicy = policy.policies.get(name);
    if (vmPolicy === undefined) throw new RangeError(`VM ${vm} names the firewall policy "${name}", which does not exist`);
    const signature = vmPolicy.rules.map((r) => r.index).join();
    let classifier = classifiers.get(signature);
    if (classifier === undefined) classifiers.set(signature, (classifier = new Classifier(vmPolicy.rules, policy.activeContexts)));
    const result = vmPolicy.mode === 'off' ? null : new CompiledPolicy(vmPolicy, classifier);
    compiled.set(name, result);
    return result;
  });
}
