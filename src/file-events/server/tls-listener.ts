/** Drivers that reach the appliance through TCP with TLS (a guest without vsock, or a relay such as socat or stunnel). */
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Transport, TransportReader } from './transport.js';

export interface TlsOptions {
  /** PEM */
  readonly key: string | Buffer;
  readonly cert: string | Buffer;
  /** PEM; when given, clients must show a certificate that it has signed. */
  readonly ca?: string | Buffer;
}

const HANDSHAKE_MS = 5000;
const LINGER_MS = 2000;

export class TlsListener {
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();

  /** @param onConnect gives the reader of a new connection, or null to refuse it */
  constructor(options: TlsOptions, onConnect: (transport: Transport) => TransportReader | null, maxConnections: number, onError: (text: string) => void) {
    this.#server = createServer(
      {
        key: options.key,
        cert: options.cert,
        minVersion: 'TLSv1.2',
        handshakeTimeout: HANDSHAKE_MS,
        ...(options.ca === undefined ? {} : { ca: options.ca, requestCert: true, rejectUnauthorized: true }),
      },
      (socket) => this.#accept(socket, onConnect),
    );
    this.#server.maxConnections = maxConnections;
    this.#server.on('error', (error) => onError(error.message));
    // A failed handshake is the client's business; without a listener it would be thrown.
    this.#server.on('tlsClientError', (error, socket) => {
      onError(`TLS: ${error.message}`);
      socket.destroy();
    });
  }

  /** @returns the port. @throws the system error */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((settle, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.removeListener('error', reject);
        settle();
      });
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((settle) => this.#server.close(() => settle()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(socket: TLSSocket, onConnect: (transport: Transport) => TransportReader | null): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    let open = true;
    const transport: Transport = {
      peer: { kind: 'tls', pid: -1, uid: -1, cid: -1, name: `tls ${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}` },
      get unsent() {
        return socket.writableLength;
      },
      write: (bytes) => {
        if (open) socket.write(Buffer.from(bytes));
      },
      close: () => {
        if (!open) return;
        open = false;
        socket.destroySoon();
        // A peer that does not read would keep it half closed for ever.
        setTimeout(() => socket.destroy(), LINGER_MS).unref();
      },
    };
    const reader = onConnect(transport);
    if (reader === null) {
      socket.destroy();
      return;
    }
    const ended = (reason: string): void => {
      if (!open) return;
      open = false;
      socket.destroy();
      reader.closed(reason);
    };
    socket.on('data', (chunk: Buffer) => {
      if (open) reader.bytes(chunk, chunk.length);
    });
    socket.on('error', (error) => ended(error.message));
    socket.on('end', () => ended('closed by the driver'));
    socket.on('close', () => {
      this.#sockets.delete(socket);
      ended('closed');
    });
  }
}
