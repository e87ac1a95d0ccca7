/** `drawbridge reload`: the running appliance reads its rules and policies again. */
import { dirname, resolve } from 'node:path';
import { loadConfig } from '../config/load.js';
import { formatProblem } from '../config/problem.js';
import { control } from '../control.js';

/** @returns 0 when the new policy is in force, 1 when the old one stays (the reasons are told), 2 without a socket to ask on */
export async function reload(options: { config: string; socket?: string }): Promise<number> {
  const socket = options.socket ?? socketOf(options.config);
  if (socket === '') {
    process.stderr.write(`drawbridge: ${options.config} sets no control.socket; without one send SIGHUP to the process\n`);
    return 2;
  }
  const answer = await control(socket, 'reload');
  for (const line of answer.lines) (answer.ok ? process.stdout : process.stderr).write(`${line}\n`);
  return answer.ok ? 0 : 1;
}

/** The socket of a configuration; a file with mistakes has none, and the mistakes are told. */
function socketOf(file: string): string {
  const { config, problems } = loadConfig(file);
  if (config === undefined) for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
  const socket = config?.control.socket ?? '';
  return socket === '' ? '' : resolve(dirname(resolve(file)), socket);
}
