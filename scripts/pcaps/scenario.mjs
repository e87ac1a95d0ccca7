/**
 * One scenario of a case file (rules/cases/*.yaml) to a capture. A scenario has exactly one kind of traffic (`http`, `tcp`,
 * `udp`, `dns`, `tls`, `icmp`) and, where they apply, `port`, `client_port`, `segment`, `connections`, `interval` and
 * `outbound`. rules/README.md describes them for authors.
 */
import { ATTACKER, Capture, SERVER } from './capture.mjs';
import { dnsExchange } from './dns.mjs';
import { httpSteps } from './http.mjs';
import { tcpSession } from './tcp-session.mjs';
import { payloadBytes } from './text.mjs';
import { HANDSHAKE_FAILURE, clientHello } from './tls.mjs';

const COMMON = ['why', 'port', 'client_port', 'segment', 'connections', 'interval', 'outbound'];
const FIRST_CLIENT_PORT = 49_152;
const ECHO_ID = 0x4d42;
const MILLISECOND = 1000;

/** `c` and `s` of a case file: what the client and the server say. */
function turns(list) {
  return list.map((turn) => {
    const [key, ...rest] = Object.keys(turn);
    if (rest.length > 0 || (key !== 'c' && key !== 's')) throw new SyntaxError(`a turn has one key, c or s: ${JSON.stringify(turn)}`);
    return { from: key === 'c' ? 'client' : 'server', data: payloadBytes(turn[key]) };
  });
}

/** @type {Record<string, {port: number, play: (capture: Capture, ends: object, value: any) => void}>} */
const KINDS = {
  http: { port: 80, play: (capture, ends, value) => tcpSession(capture, ends, httpSteps(Array.isArray(value) ? value : [value])) },
  tcp: { port: 0, play: (capture, ends, value) => tcpSession(capture, ends, turns(value)) },
  tls: {
    port: 443,
    play: (capture, ends, value) =>
      tcpSession(capture, ends, [
        { from: 'client', data: clientHello(value.sni) },
        { from: 'server', data: HANDSHAKE_FAILURE },
      ]),
  },
  udp: {
    port: 0,
    play: (capture, ends, value) => {
      for (const { from, data } of turns(value)) datagram(capture, ends, from === 'client', data);
    },
  },
  dns: {
    port: 53,
    play: (capture, ends, value) => {
      value.forEach((query, i) => {
        const { query: asked, reply } = dnsExchange(query, 0x1000 + i);
        datagram(capture, ends, true, asked);
        datagram(capture, ends, false, reply);
      });
    },
  },
  icmp: {
    port: -1,
    play: (capture, ends, { payload, count = 1 }) => {
      const data = payloadBytes(payload);
      for (let i = 1; i <= count; i++) {
        capture.icmp(ends.client, ends.server, 8, 0, (ECHO_ID << 16) | i, data);
        capture.wait(MILLISECOND);
        capture.icmp(ends.server, ends.client, 0, 0, (ECHO_ID << 16) | i, data);
        capture.wait(MILLISECOND);
      }
    },
  },
};

function datagram(capture, { client, server, clientPort, serverPort }, up, data) {
  if (up) capture.udp(client, clientPort, server, serverPort, data);
  else capture.udp(server, serverPort, client, clientPort, data);
  capture.wait(MILLISECOND);
}

/**
 * @param {object} scenario
 * @throws SyntaxError when it is not one
 */
export function playScenario(scenario) {
  const kinds = Object.keys(scenario).filter((key) => !COMMON.includes(key));
  const kind = KINDS[kinds[0]];
  if (kinds.length !== 1 || kind === undefined) {
    throw new SyntaxError(`exactly one of ${Object.keys(KINDS).join(', ')} expected, found: ${kinds.join(', ') || 'nothing'}`);
  }
  const serverPort = scenario.port ?? kind.port;
  if (serverPort === 0) throw new SyntaxError(`${kinds[0]} needs a port`);
  const [client, server] = scenario.outbound === true ? [SERVER, ATTACKER] : [ATTACKER, SERVER];
  const capture = new Capture();
  const firstPort = scenario.client_port ?? FIRST_CLIENT_PORT;
  for (let i = 0; i < (scenario.connections ?? 1); i++) {
    const ends = { client, server, clientPort: firstPort + i, serverPort, segment: scenario.segment };
    kind.play(capture, ends, scenario[kinds[0]]);
    capture.wait((scenario.interval ?? 1000) * MILLISECOND);
  }
  return capture;
}
