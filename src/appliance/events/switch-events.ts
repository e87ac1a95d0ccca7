/** `switch` events: what IP discovery and loop protection noticed, in EVE JSON. Bounded, since a guest causes them. */
import { formatIp, formatMac } from '../../packet/index.js';
import { A_IP, A_MAC_HI, A_MAC_LO, A_SOURCES, ADDRESS_SOURCES, type AddressEvent, type AddressObserver, type AddressTable, type PortEvent } from '../../vswitch/index.js';
import type { EveWriter } from './eve.js';

/** Switch events written per second; what is over is counted. */
const PER_SECOND = 50;

/** Names of the address events as operators see them. */
const ADDRESS_EVENTS: Readonly<Record<AddressEvent, string>> = {
  realised: 'address_trusted',
  discovered: 'address_untrusted',
  duplicate: 'address_duplicate',
  outside: 'address_outside',
  promoted: 'address_promoted',
  released: 'address_released',
  refused: 'address_table_full',
};

export class SwitchEvents implements AddressObserver {
  /** Events over the limit. */
  suppressed = 0;
  /** Time of the traffic; set with every batch. */
  sec = 0;
  usec = 0;
  readonly #eve: EveWriter;
  readonly #portNames: readonly string[];
  #second = -1;
  #written = 0;

  constructor(eve: EveWriter, portNames: readonly string[]) {
    this.#eve = eve;
    this.#portNames = portNames;
  }

  address(event: AddressEvent, table: AddressTable, row: number, port: number): void {
    if (!this.#allowed()) return;
    this.#eve.switch(this.sec, this.usec, port, { event: ADDRESS_EVENTS[event], ...(row < 0 ? {} : this.#binding(event, table, row)) });
  }

  port(port: number, event: PortEvent): void {
    if (this.#allowed()) this.#eve.switch(this.sec, this.usec, port, { event });
  }

  #binding(event: AddressEvent, table: AddressTable, row: number): Record<string, unknown> {
    const v6 = table.isV6(row);
    const words = [0, 1, 2, 3].map((i) => table.word(row, A_IP + i)) as [number, number, number, number];
    const holder = event === 'duplicate' ? table.holder(table.vlan(row), v6, ...words) : -1;
    return {
      ip: formatIp(v6 ? 6 : 4, ...words),
      mac: formatMac(table.word(row, A_MAC_HI), table.word(row, A_MAC_LO)),
      vlan: table.vlan(row),
      sources: ADDRESS_SOURCES.filter((_, bit) => (table.word(row, A_SOURCES) & (1 << bit)) !== 0),
      ...(holder < 0 ? {} : { holder: this.#portNames[holder] }),
    };
  }

  #allowed(): boolean {
    if (this.sec !== this.#second) {
      this.#second = this.sec;
      this.#written = 0;
    }
    if (this.#written++ < PER_SECOND) return true;
    this.suppressed++;
    return false;
  }
}
