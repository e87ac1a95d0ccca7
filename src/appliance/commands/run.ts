/** `drawbridge run`: the appliance in the foreground. Logs to stderr; SIGTERM and SIGINT stop it in order. */
import { readFileSync } from 'node:fs';
import { Appliance } from '../appliance.js';
import { compileFirewall } from '../build.js';
import { parseConfig } from '../config/load.js';
import { formatProblem } from '../config/problem.js';

const STOP_SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const FAILED = 'data plane failed: ';

/** @returns 0 after an orderly stop, 1 when it could not start or the data plane died */
export async function run(options: { config: string }): Promise<number> {
  const text = readFileSync(options.config, 'utf8');
  const loaded = parseConfig(options.config, text);
  const problems = [...loaded.problems];
  if (loaded.config !== undefined) problems.push(...compileFirewall(loaded.config, loaded.yaml).problems);
  for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
  if (loaded.config === undefined || problems.some((p) => p.severity === 'error')) return 1;

  const log = (line: string): void => void process.stderr.write(`drawbridge: ${line}\n`);
  const stop = new Promise<string>((settle) => {
    const asked = (signal: string): void => {
      // Whoever asks twice means it: the default action of the next signal ends the process at once.
      for (const each of STOP_SIGNALS) process.removeListener(each, asked);
      settle(signal);
    };
    for (const signal of STOP_SIGNALS) process.on(signal, asked);
  });
  let appliance: Appliance;
  try {
    appliance = new Appliance(options.config, { ...loaded, config: loaded.config }, text, { log });
    await appliance.start();
  } catch (error) {
    log(error instanceof Error ? error.message : String(error));
    return 1;
  }
  for (const line of appliance.refused.slice(0, 20)) log(`rule refused: ${line}`);
  if (appliance.refused.length > 20) log(`... and ${appliance.refused.length - 20} more refused rules (see: drawbridge rules check)`);
  log(`${appliance.config.ports.length} ports, ${appliance.rules} rules; events in ${appliance.eventFile || '(nowhere)'}; metrics at ${appliance.metricsUrl || '(not served)'}`);
  process.stdout.write('READY\n');
  const failure = appliance.failed.then((why) => `${FAILED}${why}`);
  const reason = await Promise.race([stop, failure]);
  log(`stopping: ${reason}`);
  await appliance.stop();
  if (reason.startsWith(FAILED)) return 1;
  process.stdout.write('DONE\n');
  return 0;
}
