/**
 * Network namespaces that stand for virtual machines: each gets one TAP of the appliance as its only interface, so its kernel
 * talks to the switch exactly as a guest's would. Everything made here is removed by `destroy`, also after a crash of an
 * earlier run. Commands run without a shell and take no outside data.
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

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** True when this process may create namespaces and TAP devices. */
export function privileged(): boolean {
  if (process.getuid?.() !== 0) return false;
  const probe = `dbprobe${process.pid}`;
  try {
    ip('netns', 'add', probe);
    ip('netns', 'del', probe);
    return true;
  } catch {
    return false;
  }
}

export class LabNetwork {
  readonly vms: readonly LabVm[];
  readonly #children: ChildProcess[] = [];

  constructor(vms: readonly LabVm[]) {
    this.vms = vms;
  }

  /** Make the namespaces. The appliance must open the TAPs before `attach`. */
  create(): void {
    for (const vm of this.vms) {
      this.#removeNamespace(vm);
      ip('netns', 'add', vm.namespace);
      ip('-n', vm.namespace, 'link', 'set', 'lo', 'up');
    }
  }

  /** Move each TAP into its namespace as eth0 and give it its addresses. */
  attach(): void {
    for (const vm of this.vms) {
      ip('link', 'set', vm.tap, 'netns', vm.namespace);
      ip('-n', vm.namespace, 'link', 'set', vm.tap, 'name', 'eth0');
      ip('-n', vm.namespace, 'link', 'set', 'eth0', 'address', vm.mac, 'up');
      ip('-n', vm.namespace, 'address', 'add', `${vm.ip}/24`, 'dev', 'eth0');
    }
  }

  /** Start a long-running program inside a VM; it is ended by `destroy`. */
  start(vm: LabVm, command: string, args: readonly string[]): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', vm.namespace, command, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#children.push(child);
    return child;
  }

  /** Run a program inside a VM to its end. Never throws: tells exit code (-1 = killed by the time limit) and output. */
  async exec(vm: LabVm, command: string, args: readonly string[], timeoutMs: number): Promise<{ code: number; stdout: string; stderr: string }> {
    return new Promise((resolve) => {
      const child = spawn('ip', ['netns', 'exec', vm.namespace, command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
      let stdout = '';
      let stderr = '';
      let timedOut = false;
      const timer = setTimeout(() => {
        timedOut = true;
        child.kill('SIGKILL');
      }, timeoutMs);
      child.stdout.setEncoding('utf8').on('data', (s: string) => (stdout += s));
      child.stderr.setEncoding('utf8').on('data', (s: string) => (stderr += s));
      child.on('error', (e) => {
        clearTimeout(timer);
        resolve({ code: 127, stdout, stderr: e.message });
      });
      child.on('close', (code) => {
        clearTimeout(timer);
        resolve({ code: timedOut ? -1 : (code ?? -1), stdout, stderr });
      });
    });
  }

  /** End the programs and remove the namespaces. The TAPs vanish when the appliance closes them. */
  destroy(): void {
    for (const child of this.#children) child.kill('SIGTERM');
    for (const vm of this.vms) this.#removeNamespace(vm);
  }

  #removeNamespace(vm: LabVm): void {
    try {
      const pids = ip('netns', 'pids', vm.namespace).split('\n').filter(Boolean).map(Number);
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      ip('netns', 'del', vm.namespace);
    } catch (error) {
      // "No such file": nothing was left over, which is the normal case. Anything else must be seen.
      const text = String((error as { stderr?: unknown }).stderr ?? error);
      if (!/No such file|Cannot open network namespace|ESRCH/.test(text)) throw error;
    }
  }
}
