/** The metrics listener: GET /metrics (Prometheus text) and GET /healthz. Separate from every other listener on purpose. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

export interface MetricsServer {
  /** http://host:port/metrics */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * @param listen `host:port` or `[v6]:port`; port 0 takes a free one
 * @param healthy answers /healthz: undefined = fine, otherwise what is wrong
 * @throws when the address cannot be bound (EADDRINUSE, EACCES)
 */
export async function serveMetrics(listen: string, registry: Registry, healthy: () => string | undefined): Promise<MetricsServer> {
  const m = /^(?:\[([^\]]+)\]|([^:]*)):(\d+)$/.exec(listen);
  if (!m) throw new TypeError(`metrics.listen: "${listen}" is not host:port`);
  const host = m[1] ?? m[2] ?? '';
  const server: Server = createServer((req, res) => {
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.writeHead(405, { allow: 'GET, HEAD' }).end();
      return;
    }
    const path = (req.url ?? '').split('?', 1)[0];
    if (path === '/metrics') {
      registry.metrics().then(
        (text) => res.writeHead(200, { 'content-type': registry.contentType }).end(text),
        (error: unknown) => res.writeHead(500, { 'content-type': 'text/plain' }).end(`${String(error)}\n`),
      );
    } else if (path === '/healthz') {
      const wrong = healthy();
      res.writeHead(wrong === undefined ? 200 : 503, { 'content-type': 'text/plain' }).end(`${wrong ?? 'ok'}\n`);
    } else {
      res.writeHead(404, { 'content-type': 'text/plain' }).end('see /metrics and /healthz\n');
    }
  });
  server.headersTimeout = 5000;
  server.requestTimeout = 10_000;
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: host === '' ? undefined : host, port: Number(m[3]) }, resolve);
  });
  const address = server.address() as AddressInfo;
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    url: `http://${shown}:${address.port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
