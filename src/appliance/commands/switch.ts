/** `drawbridge switch ...`: look at the running switch and tell it something, over the control socket. */
import { resolve } from 'node:path';
import { control } from '../control.js';
import type { SwitchAnswer, SwitchRequest } from '../switch-control.js';
import { NO_SOCKET, socketOf } from './control-socket.js';

export interface SwitchOptions {
  readonly config: string;
  readonly socket?: string;
  readonly json?: boolean;
}

/** Columns of each listing, in order; everything else is in --json. */
const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  ports: ['port', 'vm', 'state', 'vlans', 'macs', 'rx_frames', 'tx_frames', 'forwarded', 'dropped', 'flows', 'half_open'],
  macs: ['mac', 'vlan', 'port', 'age_seconds', 'static'],
  addresses: ['port', 'ip', 'mac', 'vlan', 'state', 'sources', 'seen_seconds_ago'],
};

/** @returns 0 when it was done, 1 when the switch refused (the reason is told), 2 without a socket to ask on */
export async function switchCommand(request: SwitchRequest, options: SwitchOptions): Promise<number> {
  const answer = await ask(request, options);
  if (answer === undefined) return 2;
  if (options.json === true) process.stdout.write(`${JSON.stringify(answer.rows ?? answer.lines)}\n`);
  else if (answer.rows !== undefined) process.stdout.write(table(answer.rows, COLUMNS[request.op] ?? []));
  if (options.json === true && answer.ok) return 0;
  for (const row of answer.rows ?? []) for (const [reason, n] of Object.entries((row['drops'] as object | undefined) ?? {})) process.stdout.write(`  ${String(n).padStart(12)} ${reason}\n`);
  for (const line of answer.lines) (answer.ok ? process.stdout : process.stderr).write(`${answer.ok ? '' : 'drawbridge: '}${line}\n`);
  return answer.ok ? 0 : 1;
}

async function ask(request: SwitchRequest, options: SwitchOptions): Promise<SwitchAnswer | undefined> {
  const socket = options.socket ?? socketOf(options.config);
  if (socket === '') {
    process.stderr.write(`drawbridge: ${options.config} ${NO_SOCKET}\n`);
    return undefined;
  }
  return (await control(socket, `switch ${JSON.stringify(request)}`)) as SwitchAnswer;
}

/** Capture until the time is over, or Ctrl-C. @returns as switchCommand */
export async function switchCapture(request: Extract<SwitchRequest, { op: 'capture' }>, options: SwitchOptions): Promise<number> {
  const file = resolve(request.file);
  const started = await switchCommand({ ...request, file }, options);
  if (started !== 0) return started;
  await new Promise<void>((settle) => {
    const timer = setTimeout(settle, request.seconds * 1000);
    process.once('SIGINT', () => {
      clearTimeout(timer);
      settle();
    });
  });
  return switchCommand({ op: 'capture-stop', file }, options);
}

function table(rows: readonly Readonly<Record<string, unknown>>[], columns: readonly string[]): string {
  const cells = [columns.map((c) => c.replaceAll('_', ' ')), ...rows.map((row) => columns.map((c) => text(row[c])))];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)));
  return cells.map((line) => `${line.map((cell, i) => cell.padEnd(widths[i]!)).join('  ').trimEnd()}\n`).join('');
}

function text(value: unknown): string {
  if (Array.isArray(value)) return value.length > 4 ? `${value.slice(0, 3).join(',')}... (${value.length})` : value.join(',');
  if (value === null || value === undefined || value === '') return '-';
  return typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value);
}
