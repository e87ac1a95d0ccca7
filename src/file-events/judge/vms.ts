/** The VMs with a driver, by number (dense, for bit sets) and by session. */
import { IdentityTable } from '../cache/identity-table.js';
import type { DriverSession } from '../handler.js';

export interface VmState {
  readonly number: number;
  readonly name: string;
  session: DriverSession | null;
  /**
   * Identity -> content. Trusted within one session only: a snapshot revert keeps the boot id and brings old inode numbers and
   * times back for other content, but it cannot keep a connection.
   */
  readonly identities: IdentityTable;
}

export class VmDirectory {
  readonly #byName = new Map<string, VmState>();
  readonly #all: VmState[] = [];
  readonly #bySession = new WeakMap<DriverSession, VmState>();
  readonly #seed: readonly [number, number];
  readonly #maxIdentities: number;

  constructor(seed: readonly [number, number], maxIdentities: number) {
    this.#seed = seed;
    this.#maxIdentities = maxIdentities;
  }

  /** All VMs that ever had a driver here. Names come from the configuration, so their number is bounded by it. */
  get all(): readonly VmState[] {
    return this.#all;
  }

  get(name: string): VmState | undefined {
    return this.#byName.get(name);
  }

  /** The state of a VM, made when it is new. */
  named(name: string): VmState {
    let vm = this.#byName.get(name);
    if (vm === undefined) {
      vm = { number: this.#all.length, name, session: null, identities: new IdentityTable(this.#seed, this.#maxIdentities) };
      this.#all.push(vm);
      this.#byName.set(name, vm);
    }
    return vm;
  }

  connected(session: DriverSession): void {
    const vm = this.named(session.vm);
    vm.identities.clear();
    vm.session = session;
    this.#bySession.set(session, vm);
  }

  disconnected(session: DriverSession): void {
    const vm = this.#bySession.get(session);
    if (vm?.session === session) vm.session = null;
  }

  of(session: DriverSession): VmState {
    const vm = this.#bySession.get(session);
    if (vm !== undefined) return vm;
    this.connected(session);
    return this.#bySession.get(session)!;
  }

  names(numbers: readonly number[]): string[] {
    return numbers.map((n) => this.#all[n]!.name);
  }
}
