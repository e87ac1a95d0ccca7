/** What the protocols room offers, indexed the way rules ask: protocols and buffers by name. */
import type { AppProtocol, BufferSpec } from '../protocols/index.js';

/** Rule names that stand for several parsers, or for a parser of another name. */
const RULE_NAMES: Readonly<Record<string, readonly string[]>> = {
  http: ['http', 'http1', 'http2'],
  http1: ['http1', 'http'],
  dcerpc: ['dcerpc', 'smb'],
  ikev2: ['ike', 'ikev2'],
  ssl: ['tls'],
};

/** Buffers of which a transaction holds several: each time a rule names one again it means another instance. */
const MULTI_INSTANCE = new Set([
  'dns.query', 'dns.query.name', 'dns.answer.name', 'tls.certs', 'http.request_header', 'http.response_header', 'file.data', 'file.name',
  'file.magic', 'krb5.cname', 'krb5.sname', 'mqtt.subscribe.topic', 'mqtt.unsubscribe.topic', 'http2.header', 'http2.header_name', 'ike.vendor',
  'quic.cyu.hash', 'quic.cyu.string', 'quic.sni',
]);

export class AppCatalog {
  /** By application protocol id; 0 is unused. */
  readonly protocols: readonly (AppProtocol | null)[];
  readonly #ids = new Map<string, number[]>();
  readonly #buffers = new Map<string, (BufferSpec | null)[]>();
  /** Names of application-layer events. */
  readonly events = new Set<string>();

  /** @param protocols the protocol registry in its order: ids are 1, 2, ... */
  constructor(protocols: readonly AppProtocol[]) {
    this.protocols = [null, ...protocols];
    protocols.forEach((protocol, i) => {
      // A protocol with a row per transport answers to one name; flows carry the id of its first row.
      const ids = this.#ids.get(protocol.name);
      if (ids === undefined) this.#ids.set(protocol.name, [i + 1]);
      else ids.push(i + 1);
      for (const spec of protocol.buffers) {
        let specs = this.#buffers.get(spec.name);
        if (specs === undefined) this.#buffers.set(spec.name, (specs = this.protocols.map(() => null)));
        specs[i + 1] = spec;
      }
      for (const event of protocol.events) this.events.add(event.includes('.') ? event : `${protocol.name}.${event}`);
    });
    for (const [rule, names] of Object.entries(RULE_NAMES)) {
      const ids = names.flatMap((name) => protocols.flatMap((protocol, i) => (protocol.name === name ? [i + 1] : [])));
      if (ids.length > 0) this.#ids.set(rule, ids);
    }
  }

  /** Ids of the parsers a rule's protocol name stands for, or null. */
  ids(ruleName: string): readonly number[] | null {
    return this.#ids.get(ruleName) ?? null;
  }

  get names(): readonly string[] {
    return [...this.#ids.keys()].sort();
  }

  /** Where a buffer comes from, by protocol id; null when no protocol has it. */
  buffer(name: string): readonly (BufferSpec | null)[] | null {
    return this.#buffers.get(name) ?? null;
  }

  get bufferNames(): readonly string[] {
    return [...this.#buffers.keys()].sort();
  }

  isMultiInstance(name: string): boolean {
    return MULTI_INSTANCE.has(name) || name.startsWith('frame.');
  }
}
