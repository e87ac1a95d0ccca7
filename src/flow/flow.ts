/**
 * The JavaScript side of one tracked flow: everything that does not fit the typed-array record. Created only when a
 * flow carries payload that somebody inspects, taken from a pool and given back when the record is freed, so steady
 * traffic allocates none. Rooms to the right hang their state on the typed slots and clear it in their release hook.
 */
import type { FlowFacts } from '../pipeline/index.js';
import { StreamHalf } from './stream-half.js';

export const TO_SERVER = 0;
export const TO_CLIENT = 1;

/** Why the rest of a flow is not inspected; '' = it is. Feeds the blindness meter and the flow's receipt. */
export type Uninspected = '' | 'bypass' | 'depth' | 'encrypted' | 'midstream' | 'memcap' | 'gap' | 'unknown-protocol' | 'parser-error';

export class Flow implements FlowFacts {
  /** Row in the flow table. */
  id = -1;
  eveId = 0;
  /** IP protocol number. */
  proto = 0;
  /** Time of the first packet, seconds since the epoch. */
  startSec = 0;
  /** Application protocol: 0 unknown (still probing), -1 given up, otherwise an id of the protocol registry (>= 1). */
  app = 0;
  appProto = '';
  /** TCP only: the two halves of the byte stream, named by the direction the bytes travel. */
  readonly toServer = new StreamHalf();
  readonly toClient = new StreamHalf();
  /** Owned by protocols: parser state of the detected protocol. */
  parser: object | null = null;
  /** Owned by protocols: datagrams that were not recognised. */
  probes = 0;
  /** Somebody looks at protocol data units (keyword frame): parsers that can hand them out do. */
  frames = false;
  /** Owned by protocols: live transactions, oldest first. Inspecting rooms must not keep them beyond the flow. */
  readonly transactions: object[] = [];
  /** Owned by ips: flowbits, flowints, per-flow detection state. */
  detect: object | null = null;
  /** Owned by web: SecLang transaction state. */
  web: object | null = null;
  uninspected: Uninspected = '';
  /** TCP: the beginning was not seen, or only one direction is: the first bytes may be an answer. */
  midstream = false;

  /** The half whose bytes travel in direction `dir`. */
  half(dir: number): StreamHalf {
    return dir === TO_SERVER ? this.toServer : this.toClient;
  }

  /** Make the object fit for the next flow. Called by the pool after the release hooks ran. */
  reset(): void {
    this.id = -1;
    this.eveId = 0;
    this.proto = 0;
    this.startSec = 0;
    this.app = 0;
    this.appProto = '';
    this.toServer.reset();
    this.toClient.reset();
    this.parser = null;
    this.probes = 0;
    this.frames = false;
    this.transactions.length = 0;
    this.detect = null;
    this.web = null;
    this.uninspected = '';
    this.midstream = false;
  }
}
