/** Network namespaces as virtual machines: made for one test, named by process and counter, always removed. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

let counter = 0;

/** Environment of programs under test: without the sanitizer runtime this process may have been started with. */
const environment = { ...process.env };
delete environment['LD_PRELOAD'];

export function run(...argv: string[]): string {
  const r = spawnSync(argv[0], argv.slice(1), { encoding: 'utf8', env: environment, timeout: 60_000 });
  if (r.error !== undefined) throw r.error;
  if (r.status !== 0) throw new Error(`${argv.join(' ')}: exit ${String(r.status)}\n${r.stdout}${r.stderr}`);
  return r.stdout;
}

/** Why live tests cannot run here, or undefined when they can. */
export function whyNotLive(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root';
  if (!existsSync('/dev/net/tun')) return 'no /dev/net/tun';
  const name = `dbp${process.pid}x${counter++}`;
  try {
    run('ip', 'netns', 'add', name);
    run('ip', 'netns', 'del', name);
  } catch (e) {
    return `no network namespaces: ${(e as Error).message.trim()}`;
  }
  return undefined;
}

/** Why the kernel cannot make 802.1Q interfaces, or undefined. */
export function whyNoVlan(): string | undefined {
  const name = deviceName();
  try {
    run('ip', 'link', 'add', 'link', 'lo', 'name', name, 'type', 'vlan', 'id', '100');
  } catch (e) {
    const text = (e as Error).message;
    if (text.includes('Unknown device type')) return 'the kernel has no 802.1Q interfaces';
    // Refused for lo, say: the type exists, and the test itself will tell what is wrong.
    return undefined;
  }
  run('ip', 'link', 'del', name);
  return undefined;
}

export class Netns {
  readonly name = `dbn${process.pid}x${counter++}`;

  constructor() {
    run('ip', 'netns', 'add', this.name);
    // No router solicitations and no DAD delay: only the frames a test sends.
    this.exec('sysctl', '-qw', 'net.ipv6.conf.default.accept_dad=0', 'net.ipv6.conf.default.router_solicitations=0');
    run('ip', '-n', this.name, 'link', 'set', 'lo', 'up');
  }

  exec(...argv: string[]): string {
    return run('ip', 'netns', 'exec', this.name, ...argv);
  }

  /** Takes an interface of this namespace's parent in, names it e0, gives it addresses and brings it up. */
  adopt(device: string, host: number): void {
    run('ip', 'link', 'set', device, 'netns', this.name);
    run('ip', '-n', this.name, 'link', 'set', device, 'name', 'e0');
    this.address('e0', host);
  }

  address(device: string, host: number): void {
    run('ip', '-n', this.name, 'address', 'add', `10.77.0.${host}/24`, 'dev', device);
    run('ip', '-n', this.name, 'address', 'add', `fd77::${host}/64`, 'dev', device, 'nodad');
    run('ip', '-n', this.name, 'link', 'set', device, 'up');
  }

  /** Starts a Node script in the namespace; `first` resolves with its first line, `done` with its whole output. */
  script(source: string, ...args: string[]): { first: Promise<string>; done: Promise<string>; kill: () => void } {
    const child = spawn('ip', ['netns', 'exec', this.name, process.execPath, '-e', source, ...args], {
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    let announce: (line: string) => void;
    const first = new Promise<string>((resolve) => (announce = resolve));
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (text.includes('\n')) announce(text.slice(0, text.indexOf('\n')));
    });
    const done = new Promise<string>((resolve, reject) => {
      child.once('error', reject).once('close', () => resolve(text));
    });
    return { first, done, kill: () => child.kill('SIGKILL') };
  }

  remove(): void {
    spawnSync('ip', ['netns', 'del', this.name], { env: environment });
  }
}

/** Interface name that is unique on this host. */
export function deviceName(): string {
  return `db${process.pid}x${counter++}`.slice(0, 15);
}
