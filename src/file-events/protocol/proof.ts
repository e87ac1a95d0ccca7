/**
 * Mutual proof that both ends hold the VM's token, without sending it: HMAC-SHA256 over a label, both nonces and the VM name.
 * A recorded proof is useless (fresh nonces), and a proof of one end cannot be sent back as that of the other (labels).
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

/** HELLO.proof */
export function driverProof(token: string, applianceNonce: Uint8Array, driverNonce: Uint8Array, vm: string): Uint8Array {
  return prove(token, 'drawbridge driver 1', applianceNonce, driverNonce, vm);
}

/** WELCOME.proof */
export function applianceProof(token: string, applianceNonce: Uint8Array, driverNonce: Uint8Array, vm: string): Uint8Array {
  return prove(token, 'drawbridge appliance 1', applianceNonce, driverNonce, vm);
}

export function sameProof(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function prove(token: string, label: string, applianceNonce: Uint8Array, driverNonce: Uint8Array, vm: string): Uint8Array {
  return createHmac('sha256', token).update(label).update(applianceNonce).update(driverNonce).update(vm).digest();
}
