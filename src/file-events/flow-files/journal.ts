/** Which flow delivered which content: an event on a VM's file can name where it came from. */
import { LRUCache } from 'lru-cache';

/** A flow that carried a file, as events show it; the client is the source. */
export interface FlowOrigin {
  readonly flow_id: number;
  readonly src_ip: string;
  readonly src_port: number;
  readonly dest_ip: string;
  readonly dest_port: number;
  readonly proto: string;
  readonly app_proto: string;
  /** '' = not a VM of this appliance. */
  readonly src_vm: string;
  readonly dest_vm: string;
}

export interface Delivery {
  readonly origin: FlowOrigin;
  readonly filename: string;
  /** ISO 8601. */
  readonly time: string;
  /** The VM that got it, '' = none of this appliance. */
  readonly receiver: string;
}

/** Contents remembered. */
const MAX = 50_000;
/** Deliveries remembered of one content, the newest: one for each of so many VMs. */
const MAX_DELIVERIES = 8;

export class DeliveryJournal {
  readonly #byHash = new LRUCache<string, Delivery[]>({ max: MAX });

  note(sha256: string, delivery: Delivery): void {
    const known = (this.#byHash.get(sha256) ?? []).filter((d) => d.receiver !== delivery.receiver);
    this.#byHash.set(sha256, [delivery, ...known].slice(0, MAX_DELIVERIES));
  }

  /** The newest delivery of this content to this VM; else undefined. */
  find(sha256: string, vm: string): Delivery | undefined {
    return this.#byHash.get(sha256)?.find((d) => d.receiver === vm);
  }
}
