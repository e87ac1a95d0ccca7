/** Where the running appliance listens, from its configuration. Shared by the commands that ask it. */
import { dirname, resolve } from 'node:path';
import { loadConfig } from '../config/load.js';
import { formatProblem } from '../config/problem.js';

export const NO_SOCKET = 'sets no control.socket';

/** The socket of a configuration; a file with mistakes has none, and the mistakes are told. */
export function socketOf(file: string): string {
  const { config, problems } = loadConfig(file);
  if (config === undefined) for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
  const socket = config?.control.socket ?? '';
  return socket === '' ? '' : resolve(dirname(resolve(file)), socket);
}
