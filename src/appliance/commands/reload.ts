/** `drawbridge reload`: the running appliance reads its rules and policies again. */
import { control } from '../control.js';
import { NO_SOCKET, socketOf } from './control-socket.js';

/** @returns 0 when the new policy is in force, 1 when the old one stays (the reasons are told), 2 without a socket to ask on */
export async function reload(options: { config: string; socket?: string }): Promise<number> {
  const socket = options.socket ?? socketOf(options.config);
  if (socket === '') {
    process.stderr.write(`drawbridge: ${options.config} ${NO_SOCKET}; without one send SIGHUP to the process\n`);
    return 2;
  }
  const answer = await control(socket, 'reload');
  for (const line of answer.lines) (answer.ok ? process.stdout : process.stderr).write(`${line}\n`);
  return answer.ok ? 0 : 1;
}
