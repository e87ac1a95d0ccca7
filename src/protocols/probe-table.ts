/** Which protocols of one transport are asked about the first bytes of a flow, by its ports: one bit a protocol. */
import type { AppProtocol } from './parser.js';
import type { ProtocolRegistry } from './registry.js';

const PORTS = 65536;

export class ProbeTable {
  readonly protocols: readonly AppProtocol[];
  /** Those that are looked for on any port. */
  anywhere = 0;
  readonly #byPort = new Uint32Array(PORTS);
  /** Those that are only looked for on their ports, where either side may have it. */
  #portsOnly = 0;

  /** @throws RangeError for more than 32 protocols: then a word no longer holds them */
  constructor(
    registry: ProtocolRegistry,
    readonly ids: readonly number[],
  ) {
    if (ids.length > 32) throw new RangeError(`${ids.length} protocols over one transport, more than 32`);
    this.protocols = ids.map((id) => registry.get(id));
    this.protocols.forEach((protocol, k) => {
      for (const port of protocol.ports) this.#byPort[port]! |= 1 << k;
      if (protocol.portsOnly === true) this.#portsOnly |= 1 << k;
      else this.anywhere |= 1 << k;
    });
  }

  /** Protocols whose port this is. */
  of(server: number, client: number): number {
    return this.#byPort[server]! | (this.#byPort[client]! & this.#portsOnly);
  }
}
