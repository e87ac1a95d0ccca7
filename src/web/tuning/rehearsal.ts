/**
 * What an exclusion costs: known attacks are sent through the engine with and without it - in the place that it exempts, in
 * another parameter of the same path, and in the same parameter of another path.
 */
import type { WebEngine } from '../engine/engine.js';
import type { RequestHead, WebPolicy } from '../transaction.js';
import { asBuffer, type ByteString } from '../value.js';
import type { Exclusion } from './exclusion.js';

export interface Attack {
  /** `sql-injection`, ... */
  readonly class: string;
  /** Value of a parameter. */
  readonly payload: string;
}

/** How many attacks of a class are blocked. */
export interface Coverage {
  readonly class: string;
  readonly attacks: number;
  readonly before: number;
  readonly after: number;
  /** Payloads that are not blocked any more. */
  readonly lost: readonly string[];
}

export interface Rehearsal {
  /** In the exempted place; null when the exclusion exempts none that an attack can be put into. */
  readonly exempted: readonly Coverage[] | null;
  /** In another parameter of the same path, and on another path. */
  readonly elsewhere: readonly Coverage[];
}

/** Where an attack is put. */
interface Place {
  readonly host: string;
  readonly path: string;
  readonly kind: 'parameter' | 'header' | 'cookie';
  readonly name: string;
}

const OTHER_NAME = 'other';
const OTHER_PATH = '/another/path';
const ANY_HOST = 'www.example.com';

/** @param method of the request that was blocked: POST puts parameters into a body */
export function rehearse(before: WebEngine, after: WebEngine, policy: WebPolicy, exclusion: Exclusion, method: string, attacks: readonly Attack[]): Rehearsal {
  const own = placeOf(exclusion);
  const other: Place = { host: exclusion.host || ANY_HOST, path: exclusion.path, kind: 'parameter', name: OTHER_NAME };
  const away: Place = { ...(own ?? other), path: exclusion.prefix ? OTHER_PATH : `${exclusion.path}${OTHER_PATH}` };
  const run = (places: readonly Place[]): Coverage[] => {
    const rows = new Map<string, { attacks: number; before: number; after: number; lost: string[] }>();
    for (const place of places) {
      for (const attack of attacks) {
        const row = rows.get(attack.class) ?? { attacks: 0, before: 0, after: 0, lost: [] };
        rows.set(attack.class, row);
        row.attacks++;
        const was = isBlocked(before, policy, place, method, attack.payload);
        const is = isBlocked(after, policy, place, method, attack.payload);
        if (was) row.before++;
        if (is) row.after++;
        if (was && !is) row.lost.push(attack.payload);
      }
    }
    return [...rows].map(([name, row]) => ({ class: name, ...row }));
  };
  return { exempted: own === null ? null : run([own]), elsewhere: run([other, away]) };
}

function placeOf({ target, host, path }: Exclusion): Place | null {
  const m = target === null ? null : /^(ARGS|ARGS_GET|ARGS_POST|REQUEST_HEADERS|REQUEST_COOKIES):([^/].*)$/.exec(target);
  if (m === null) return null;
  const kind = m[1] === 'REQUEST_HEADERS' ? 'header' : m[1] === 'REQUEST_COOKIES' ? 'cookie' : 'parameter';
  return { host: host || ANY_HOST, path, kind, name: m[2]! };
}

let serial = 0;

function isBlocked(engine: WebEngine, policy: WebPolicy, place: Place, method: string, payload: string): boolean {
  const posts = place.kind === 'parameter' && method !== 'GET' && method !== 'HEAD';
  const pair = `${encodeURIComponent(place.name)}=${encodeURIComponent(payload)}`;
  const target = place.kind === 'parameter' && !posts ? `${place.path}?${pair}` : place.path;
  const fields: ByteString[] = ['Host', place.host, 'User-Agent', 'Mozilla/5.0', 'Accept', '*/*'];
  // A line end would end the field: such an attack cannot be sent there.
  if (place.kind === 'header') fields.push(place.name, latin1(payload).replace(/[\r\n]/g, ' '));
  if (place.kind === 'cookie') fields.push('Cookie', `${place.name}=${encodeURIComponent(payload)}`);
  if (posts) fields.push('Content-Type', 'application/x-www-form-urlencoded', 'Content-Length', String(pair.length));
  const verb = posts ? 'POST' : 'GET';
  const head: RequestHead = { line: `${verb} ${target} HTTP/1.1`, method: verb, target, protocol: 'HTTP/1.1', fields };
  const tx = engine.transaction({ clientAddress: '192.0.2.1', clientPort: 40000, serverAddress: '192.0.2.2', serverPort: 80 }, `rehearsal-${serial++}`, { ...policy, mode: 'on' });
  let decided = tx.requestHeaders(head);
  if (decided === null && posts) {
    const body = asBuffer(new TextEncoder().encode(pair));
    decided = tx.requestBody(body, 0, body.length);
  }
  decided ??= tx.endRequestBody();
  tx.logging();
  return decided !== null;
}

function latin1(text: string): ByteString {
  return Buffer.from(text, 'utf8').toString('latin1');
}
