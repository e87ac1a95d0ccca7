/** The words of `drawbridge switch ...`. What they do is in switch.ts, which is loaded when one of them is used. */
import { InvalidArgumentError, type Command } from 'commander';
import type { SwitchRequest } from '../switch-control.js';
import type { SwitchOptions } from './switch.js';

/** @param done receives the exit code */
export function addSwitchCommands(program: Command, done: (code: number) => void): void {
  const group = program.command('switch').description('look at the running switch and tell it something, over control.socket');
  const add = (name: string, description: string): Command =>
    group
      .command(name)
      .description(description)
      .option('-c, --config <file>', 'the configuration file of the appliance, which names the control socket', 'drawbridge.yaml')
      .option('--socket <path>', 'the control socket itself')
      .option('--json', 'print JSON', false);
  const ask = async (request: SwitchRequest, options: SwitchOptions): Promise<void> => {
    const { switchCommand } = await import('./switch.js');
    done(await switchCommand(request, options));
  };

  for (const [op, description] of [
    ['ports', 'the ports with their counters; of one port also its drops by reason'],
    ['macs', 'the MAC table'],
    ['addresses', 'what IP discovery found on the ports'],
  ] as const) {
    add(op, description)
      .argument('[port]', 'only this port')
      .action((port: string | undefined, o: SwitchOptions) => ask({ op, ...(port === undefined ? {} : { port }) }, o));
  }
  for (const [op, description] of [
    ['approve', 'let a port use an address'],
    ['revoke', 'forget an address on a port'],
  ] as const) {
    add(op, description)
      .argument('<port>', 'port')
      .argument('<ip>', 'address')
      .option('--vlan <id>', 'VLAN, for ports in several', wholeNumber)
      .action((port: string, ip: string, o: SwitchOptions & { vlan?: number }) => ask({ op, port, ip, ...(o.vlan === undefined ? {} : { vlan: o.vlan }) }, o));
  }
  add('state', 'take a port down, quarantine it, or bring it back')
    .argument('<port>', 'port')
    .argument('<state>', 'up, down or quarantine')
    .action((port: string, state: string, o: SwitchOptions) => ask({ op: 'state', port, state: state as 'up' }, o));
  add('effective-mac', 'tell which MAC the adapter of a guest carries now (QEMU: query-rx-filter)')
    .argument('<port>', 'port')
    .argument('<mac>', 'MAC address')
    .action((port: string, mac: string, o: SwitchOptions) => ask({ op: 'effective-mac', port, mac }, o));
  add('capture', 'write the frames of a port, or of all, to a capture file until the time is over or Ctrl-C')
    .argument('[port]', 'only this port')
    .requiredOption('-w, --write <file>', 'capture file, written by the appliance')
    .option('--filter <expression>', 'only frames that fit, e.g. "tcp port 443 and not net 10.0.0.0/8"')
    .option('--dropped', 'only frames that were dropped', false)
    .option('--seconds <n>', 'how long', wholeNumber, 60)
    .action(async (port: string | undefined, o: SwitchOptions & { write: string; filter?: string; dropped: boolean; seconds: number }) => {
      const { switchCapture } = await import('./switch.js');
      done(await switchCapture({ op: 'capture', file: o.write, seconds: o.seconds, dropped: o.dropped, ...(port === undefined ? {} : { port }), ...(o.filter === undefined ? {} : { filter: o.filter }) }, o));
    });
}

function wholeNumber(value: string): number {
  const n = Number(value);
  if (!Number.isSafeInteger(n) || n < 1) throw new InvalidArgumentError('expected a whole number from 1');
  return n;
}
