/**
 * The control socket (`control.socket`): one request line, one answer line of JSON. Local and for the user who runs the
 * appliance only; requests are short and answered one after the other.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';

export interface ControlAnswer {
  readonly ok: boolean;
  /** Lines for people. */
  readonly lines: readonly string[];
  /** Result for programs. */
  readonly value?: unknown;
}

export type ControlHandler = (command: string) => Promise<ControlAnswer>;

/** Longest request line. */
const MOST_BYTES = 4096;
const MOST_CLIENTS = 8;

export class ControlServer {
  readonly #server: Server;
  readonly #path: string;
  readonly #clients = new Set<Socket>();

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.#path = path;
  }

  /** @throws the system error when the socket cannot be made, EADDRINUSE when another appliance answers on it */
  static async open(path: string, handle: ControlHandler): Promise<ControlServer> {
    if (await answers(path)) throw Object.assign(new Error(`control.socket ${path} is in use by another process`), { code: 'EADDRINUSE' });
    rmSync(path, { force: true });
    const server = createServer();
    const control = new ControlServer(server, path);
    server.maxConnections = MOST_CLIENTS;
    server.on('connection', (socket) => control.#serve(socket, handle));
    const before = process.umask(0o177);
    try {
      await new Promise<void>((settle, reject) => {
        server.once('error', reject);
        server.listen(path, settle);
      });
    } finally {
      process.umask(before);
    }
    chmodSync(path, 0o600);
    return control;
  }

  #serve(socket: Socket, handle: ControlHandler): void {
    this.#clients.add(socket);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('close', () => this.#clients.delete(socket));
    // A client that goes away has no use for its answer.
    socket.on('error', () => socket.destroy());
    socket.on('data', (part: string) => {
      text += part;
      const end = text.indexOf('\n');
      if (end < 0 && text.length <= MOST_BYTES) return;
      socket.removeAllListeners('data');
      const answered = end < 0 ? Promise.resolve({ ok: false, lines: ['the request is too long'] }) : handle(text.slice(0, end).trim());
      void answered.then((answer) => socket.end(`${JSON.stringify(answer)}\n`));
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#clients) socket.destroy();
    await new Promise<void>((settle) => this.#server.close(() => settle()));
    rmSync(this.#path, { force: true });
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((settle) => {
    const socket = createConnection(path);
    socket.on('connect', () => {
      socket.destroy();
      settle(true);
    });
    socket.on('error', () => settle(false));
  });
}

/** Send one command. @throws the system error when nobody listens, Error when the answer is none */
export function control(path: string, command: string): Promise<ControlAnswer> {
  return new Promise((settle, reject) => {
    const socket = createConnection(path);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write(`${command}\n`));
    socket.on('data', (part: string) => (text += part));
    socket.on('error', reject);
    socket.on('close', () => {
      try {
        settle(JSON.parse(text) as ControlAnswer);
      } catch {
        reject(new Error(`${path}: no answer (the appliance ended?)`));
      }
    });
  });
}
