/** Events that rules can ask for, and the protocols that raise the application-layer ones. */
import { built, cell, code, table } from './markdown.mjs';

export async function decodeEvents() {
  const { DECODE_EVENTS } = await built('packet/index.js');
  return table(['event', 'meaning', 'raised by'], DECODE_EVENTS.slice(1).map((e) => [code(e.name), cell(e.help), e.raisedBy]));
}

export async function streamEvents() {
  const { STREAM_EVENTS } = await built('flow/index.js');
  return STREAM_EVENTS.slice(1).map((name) => `- ${code(name)}`).join('\n');
}

async function protocols() {
  const { ProtocolRegistry } = await built('protocols/index.js');
  return new ProtocolRegistry().protocols;
}

export async function appLayerEvents() {
  const byName = new Map();
  for (const p of await protocols()) byName.set(p.name, new Set([...(byName.get(p.name) ?? []), ...p.events]));
  return table(['protocol', 'events'], [...byName].map(([name, events]) => [code(name), [...events].toSorted().map(code).join(', ') || 'none']));
}

export async function protocolTable() {
  const byName = new Map();
  for (const p of await protocols()) {
    const row = byName.get(p.name) ?? { transports: new Set(), ports: new Set(), buffers: new Set(), only: false };
    for (const t of p.transports) row.transports.add(t);
    for (const n of p.ports) row.ports.add(n);
    for (const b of p.buffers) row.buffers.add(b.name);
    row.only ||= p.portsOnly === true;
    byName.set(p.name, row);
  }
  return table(
    ['protocol', 'over', 'looked for', 'buffers for rules'],
    [...byName].map(([name, r]) => {
      const ports = [...r.ports].toSorted((a, b) => a - b).join(', ');
      const where = r.only ? `on ports ${ports}` : ports === '' ? 'on every port' : `on every port, ${ports} first`;
      return [code(name), [...r.transports].join(', '), where, [...r.buffers].map(code).join(', ')];
    }),
  );
}
