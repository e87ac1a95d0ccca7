/**
 * Network namespaces that stand for virtual machines: each gets one TAP of the appliance as its only interface, so its kernel
 * talks to the switch exactly as a guest's would. Everything made here is removed by `destroy`, and what a killed run left
 * behind by the next `create`. Commands run without a shell and take no outside data.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';

export interface LabVm {
  readonly name: string;
  readonly namespace: string;
  /** TAP of the appliance that becomes `eth0` of this VM. */
  readonly tap: string;
  readonly mac: string;
  readonly ip: string;
}

export interface Outcome {
  /** Exit code; -1 = ended by the time limit or a signal, 127 = no such program. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

function ip(...args: string[]): string {
  try {
    return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const said = String((error as { stderr?: unknown }).stderr ?? '').trim();
    throw new Error(`ip ${args.join(' ')}: ${said === '' ? (error as Error).message : said}`, { cause: error });
  }
}

/** Why this process may not make namespaces, undefined when it may. */
export function namespaceRefusal(): string | undefined {
  const probe = `dbl-probe-${process.pid}`;
  try {
    ip('netns', 'add', probe);
    ip('netns', 'del', probe);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

export class LabNetwork {
  readonly vms: readonly LabVm[];
  readonly #children: ChildProcess[] = [];

  constructor(vms: readonly LabVm[]) {
    this.vms = vms;
  }

  /** Make the namespaces, over what an earlier run left. @throws Error with what `ip` says */
  create(): void {
    this.destroy();
    for (const vm of this.vms) {
      ip('netns', 'add', vm.namespace);
      ip('-n', vm.namespace, 'link', 'set', 'lo', 'up');
    }
  }

  /** Move each TAP (the appliance has opened them) into its namespace as eth0 and give it its addresses. */
  attach(): void {
    for (const vm of this.vms) {
      ip('link', 'set', vm.tap, 'netns', vm.namespace);
      ip('-n', vm.namespace, 'link', 'set', vm.tap, 'name', 'eth0');
      // No link-local address: the lab speaks IPv4, and neighbour discovery would only fill its capture.
      ip('-n', vm.namespace, 'link', 'set', 'eth0', 'addrgenmode', 'none');
      ip('-n', vm.namespace, 'link', 'set', 'eth0', 'address', vm.mac, 'up');
      ip('-n', vm.namespace, 'address', 'add', `${vm.ip}/24`, 'dev', 'eth0');
    }
  }

  vm(name: string): LabVm {
    const vm = this.vms.find((v) => v.name === name);
    if (vm === undefined) throw new RangeError(`the lab has no VM "${name}"`);
    return vm;
  }

  /** Start a long-running program inside a VM; it is ended by `destroy`. */
  start(vm: LabVm, command: string, args: readonly string[]): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', vm.namespace, command, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#children.push(child);
    return child;
  }

  /** Run a program inside a VM to its end. Never throws. */
  async exec(vm: LabVm, command: string, args: readonly string[], timeoutMs: number): Promise<Outcome> {
    const started = performance.now();
    return new Promise((resolve) => {
      const child = spawn('ip', ['netns', 'exec', vm.namespace, command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
      const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
      let stdout = '';
      let stderr = '';
      const end = (code: number): void => {
        clearTimeout(timer);
        resolve({ code, stdout, stderr, ms: Math.round(performance.now() - started) });
      };
      child.stdout.setEncoding('utf8').on('data', (s: string) => (stdout += s));
      child.stderr.setEncoding('utf8').on('data', (s: string) => (stderr += s));
      child.on('error', (error) => {
        stderr += error.message;
        end(127);
      });
      child.on('close', (code) => end(code ?? -1));
    });
  }

  /** End everything that runs inside the VMs. Safe to repeat. */
  endPrograms(): void {
    for (const child of this.#children.splice(0)) child.kill('SIGKILL');
    for (const vm of this.vms) if (exists(vm.namespace)) endProcesses(vm.namespace);
  }

  /** End the programs and remove the namespaces. The TAPs vanish when the appliance closes them. Synchronous, may be repeated. */
  destroy(): void {
    this.endPrograms();
    for (const vm of this.vms) if (exists(vm.namespace)) ip('netns', 'del', vm.namespace);
  }
}

function exists(namespace: string): boolean {
  return ip('netns', 'list').split('\n').some((line) => line.split(' ', 1)[0] === namespace);
}

function endProcesses(namespace: string): void {
  for (const pid of ip('netns', 'pids', namespace).split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch (error) {
      // It ended by itself in the meantime.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}
