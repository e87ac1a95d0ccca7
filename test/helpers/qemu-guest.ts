/**
 * A real guest: QEMU in software emulation, a Debian kernel, an initramfs of busybox and this test's script. The guest says on
 * its serial line what the script prints, and powers off.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { CHECKOUT } from './conformance.js';

const BUSYBOX = '/bin/busybox';
const QEMU = '/usr/bin/qemu-system-x86_64';
/** In order of loading; kernels disagree about the first two, so those are tried both ways round. */
const MODULES = ['virtio_ring', 'virtio', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci', 'failover', 'net_failover', 'virtio_net'];

interface Kernel {
  readonly image: string;
  readonly modules: string;
}

/** A kernel with its modules: extracted by `node scripts/setup.mjs --test`, or that of this machine. */
function kernel(): Kernel | undefined {
  for (const root of [join(CHECKOUT, '.cache/guest-kernel'), '/']) {
    const boot = join(root, 'boot');
    const image = existsSync(boot) ? readdirSync(boot).filter((name) => name.startsWith('vmlinuz-')).sort().at(-1) : undefined;
    if (image === undefined) continue;
    const modules = join(root, 'lib/modules', image.slice('vmlinuz-'.length));
    if (existsSync(modules)) return { image: join(boot, image), modules };
  }
  return undefined;
}

/** Why no guest can run here, undefined when one can. */
export function guestRefusal(): string | undefined {
  if (!existsSync(QEMU)) return 'no qemu-system-x86_64 (Debian: qemu-system-x86)';
  if (!existsSync(BUSYBOX)) return 'no /bin/busybox (Debian: busybox-static)';
  return kernel() === undefined ? 'no guest kernel (node scripts/setup.mjs --test as root fetches one)' : undefined;
}

/** One file of a cpio archive in the "newc" format, which the kernel unpacks. */
function cpioEntry(name: string, mode: number, data: Uint8Array): Buffer {
  const hex = (n: number): string => n.toString(16).padStart(8, '0');
  const fields = [1, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
  const pad = (b: Buffer): Buffer => Buffer.concat([b, Buffer.alloc((4 - (b.length % 4)) % 4)]);
  return Buffer.concat([pad(Buffer.from(`070701${fields.map(hex).join('')}${name}\0`)), pad(Buffer.from(data))]);
}

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;

function findModule(dir: string, name: string): string | undefined {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) {
      const found = findModule(path, name);
      if (found !== undefined) return found;
    } else if (entry.name === `${name}.ko`) return path;
  }
  return undefined;
}

/** udhcpc tells a script what it got. */
const DHCP_SCRIPT = `#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip address flush dev "$interface"
ip address add "$ip/$mask" dev "$interface"
[ -n "$router" ] && ip route add default via "$router"
exit 0
`;

function initramfs(modules: string, script: string): Buffer {
  const files = ['bin', 'dev', 'proc', 'sys', 'etc', 'mod'].map((name) => cpioEntry(name, DIRECTORY, new Uint8Array(0)));
  files.push(cpioEntry('bin/busybox', PROGRAM, readFileSync(BUSYBOX)), cpioEntry('dhcp', PROGRAM, Buffer.from(DHCP_SCRIPT)));
  const loaded: string[] = [];
  for (const name of MODULES) {
    const path = findModule(join(modules, 'kernel'), name);
    if (path === undefined) continue; // built in, or the kernel has no such part
    files.push(cpioEntry(`mod/${name}.ko`, PROGRAM, readFileSync(path)));
    loaded.push(`insmod /mod/${name}.ko`);
  }
  const init = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
insmod /mod/virtio.ko 2>/dev/null
${loaded.map((line) => `${line} 2>/dev/null`).join('\n')}
ip link set lo up
i=0; while [ ! -e /sys/class/net/eth0 ] && [ $i -lt 50 ]; do sleep 0.1; i=$((i + 1)); done
ip link set eth0 up
echo GUEST-BEGIN
${script}
echo GUEST-END
poweroff -f
`;
  files.push(cpioEntry('init', PROGRAM, Buffer.from(init)), cpioEntry('TRAILER!!!', 0, new Uint8Array(0)));
  return gzipSync(Buffer.concat(files), { level: 1 });
}

export class QemuGuest {
  /** What the serial line said, lines ending in \n. */
  output = '';
  stderr = '';
  /** The arguments after the machine's, as documentation quotes them. */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #dir = mkdtempSync(join(tmpdir(), 'drawbridge-guest-'));

  /**
   * @param script shell commands (busybox) that the guest runs; eth0 is up, `udhcpc -i eth0 -n -q -s /dhcp` gets an address
   * @param network QEMU's -netdev value with id=n0, and the MAC of the adapter
   */
  constructor(script: string, network: { readonly netdev: string; readonly mac: string }) {
    const found = kernel();
    if (found === undefined) throw new Error('no guest kernel');
    const initrd = join(this.#dir, 'initrd.gz');
    writeFileSync(initrd, initramfs(found.modules, script));
    const args = [
      '-machine', 'q35,accel=tcg', '-cpu', 'max', '-m', '192', '-nodefaults', '-no-reboot', '-display', 'none', '-serial', 'stdio',
      '-kernel', found.image, '-initrd', initrd, '-append', 'console=ttyS0 quiet panic=-1',
      '-netdev', network.netdev, '-device', `virtio-net-pci,netdev=n0,mac=${network.mac},romfile=`,
    ];
    this.#child = spawn(QEMU, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout!.setEncoding('latin1').on('data', (s: string) => (this.output += s.replaceAll('\r', '')));
    this.#child.stderr!.setEncoding('utf8').on('data', (s: string) => (this.stderr += s));
    this.ended = new Promise((settle) => {
      this.#child.on('error', () => settle(null));
      this.#child.on('close', (code) => settle(code));
    });
  }

  /** What the script printed, once the guest has powered off. @throws Error with what QEMU and the guest said when it did not get there */
  async script(timeoutMs: number): Promise<string> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    await this.ended;
    clearTimeout(timer);
    const text = /GUEST-BEGIN\n([\s\S]*)GUEST-END/.exec(this.output)?.[1];
    if (text === undefined) throw new Error(`the guest did not finish: ${this.stderr} ${this.output.slice(-2000)}`);
    return text;
  }

  close(): void {
    this.#child.kill('SIGKILL');
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
