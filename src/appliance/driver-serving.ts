/** The driver server as the appliance runs it: listeners, tokens and policies of the configuration, in front of a verdict path. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DriverServer, driverPolicy, type FileEventHandler, type VmAccess } from '../file-events/index.js';
import type { Config } from './config/load.js';

const MIN_TOKEN = 16;
const MAX_TOKEN = 128;

/** True when the configuration lets drivers connect at all. */
export function servesDrivers({ drivers }: Config): boolean {
  return drivers.unix !== '' || drivers.vsock_port !== 0 || drivers.tls !== undefined;
}

/**
 * Secret of a token file, as both ends read it: the first line.
 * @throws Error when there is none in it, the system error when it cannot be read
 */
export function readToken(path: string): string {
  const [token] = readFileSync(path, 'utf8').split(/\r?\n/, 1) as [string];
  if (token.length < MIN_TOKEN || token.length > MAX_TOKEN) throw new Error(`${path}: a token has ${MIN_TOKEN} to ${MAX_TOKEN} characters, this one ${token.length} (make one with drawbridge driver token)`);
  return token;
}

function tokenOf(file: string, tokens: Map<string, string>): string {
  try {
    const token = readToken(file);
    tokens.set(file, token);
    return token;
  } catch (error) {
    const before = (error as NodeJS.ErrnoException).code === 'EACCES' ? tokens.get(file) : undefined;
    if (before === undefined) throw error;
    return before;
  }
}

/**
 * @param tokens read before, used where the file may not be read any more; those read now are added
 * @throws Error that names the VM and what is wrong with it
 */
function accessOf(config: Config, base: string, log: (text: string) => void, tokens: Map<string, string>): Map<string, VmAccess> {
  const table = new Map<string, VmAccess>();
  for (const [name, { driver }] of Object.entries(config.vms)) {
    if (driver === undefined) continue;
    const file = resolve(base, driver.token_file);
    try {
      const token = tokenOf(file, tokens);
      if ((statSync(file).mode & 0o077) !== 0) log(`vms.${name}.driver: ${file} can be read by others`);
      table.set(name, { token, uids: driver.users, policy: driverPolicy(driver, config.drivers), ...(driver.cid === undefined ? {} : { cid: driver.cid }) });
    } catch (error) {
      throw new Error(`vms.${name}.driver: ${(error as Error).message}`, { cause: error });
    }
  }
  return table;
}

export class DriverServing {
  readonly server: DriverServer;
  #config: Config;
  /** By file: after the privileges are gone, those read before serve on. */
  readonly #tokens = new Map<string, string>();
  readonly #base: string;
  readonly #log: (text: string) => void;

  /**
   * @param file configuration file, which relative paths are meant from
   * @throws Error that names what is wrong
   */
  constructor(config: Config, file: string, handler: FileEventHandler, log: (text: string) => void) {
    this.#config = config;
    this.#base = dirname(resolve(file));
    this.#log = log;
    const vms = accessOf(config, this.#base, log, this.#tokens);
    this.server = new DriverServer({ vms, maxConnections: config.drivers.max_connections, nowMs: () => performance.now(), log }, handler);
  }

  /** @throws Error that names the listener that cannot be opened */
  async start(): Promise<void> {
    const { unix, unix_mode, vsock_port, tls } = this.#config.drivers;
    if (unix !== '') this.#listen(`drivers.unix ${unix}`, () => this.server.listenUnix(resolve(this.#base, unix), Number.parseInt(unix_mode, 8)));
    if (vsock_port !== 0) this.#listen(`drivers.vsock_port ${vsock_port}`, () => this.server.listenVsock(vsock_port));
    if (tls !== undefined) {
      const m = /^(?:\[([^\]]+)\]|([^:]*)):(\d+)$/.exec(tls.listen)!;
      const read = (path: string): Buffer => readFileSync(resolve(this.#base, path));
      try {
        const port = await this.server.listenTls(m[1] ?? (m[2] === '' ? '::' : m[2]!), Number(m[3]), { key: read(tls.key), cert: read(tls.certificate), ...(tls.client_ca === undefined ? {} : { ca: read(tls.client_ca) }) });
        this.#log(`drivers may connect by TLS on port ${port}`);
      } catch (error) {
        throw new Error(`drivers.tls: ${(error as Error).message}`, { cause: error });
      }
    }
  }

  /**
   * Read the VMs of a configuration again.
   * @returns what puts them in force. @throws Error that names the VM, when a token cannot be read
   */
  prepare(config: Config): () => void {
    const vms = accessOf(config, this.#base, this.#log, this.#tokens);
    return () => {
      this.#config = config;
      this.server.setVms(vms);
    };
  }

  /** One line a VM, for people. */
  status(): string[] {
    const lines: string[] = [];
    for (const [name, { driver }] of Object.entries(this.#config.vms)) {
      if (driver === undefined) continue;
      const session = this.server.sessions.get(name);
      if (session === undefined) {
        lines.push(`${name}: not connected`);
        continue;
      }
      const s = session.stats;
      const counts = s === null ? 'no figures yet' : `${s.events} events: ${s.allowed} allowed, ${s.denied} denied, ${s.remembered} repeated, ${s.filtered} filtered, ${s.timeouts} timeouts, ${s.disconnected} without connection, ${s.overflows} overflows; ${s.residentKiB} KiB`;
      lines.push(`${name}: connected (${session.peer}, host ${session.hostName}, Linux ${session.kernel}, driver ${session.driver}); ${session.outstanding} waiting; ${counts}`);
    }
    return lines.length > 0 ? lines : ['no VM has a driver (vms.NAME.driver)'];
  }

  async close(): Promise<void> {
    await this.server.close();
  }

  #listen(what: string, open: () => void): void {
    try {
      open();
    } catch (error) {
      throw new Error(`${what}: ${(error as Error).message}`, { cause: error });
    }
  }
}
