/** `drawbridge run`: the appliance in the foreground. Logs to stderr; SIGTERM and SIGINT stop it in order. */
import { readFileSync } from 'node:fs';
import { Appliance } from '../appliance.js';
import { compileFirewall } from '../build.js';
import { parseConfig } from '../config/load.js';
import { formatProblem } from '../config/located-yaml.js';

/** @returns 0 after an orderly stop, 1 when it could not start or the data plane died */
export async function run(options: { config: string }): Promise<number> {
  const text = readFileSync(options.config, 'utf8');
  const loaded = parseConfig(options.config, text);
  const problems = [...loaded.problems];
  if (loaded.config !== undefined) problems.push(...compileFirewall(loaded.config, loaded.yaml).problems);
  for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
  if (loaded.config === undefined || problems.some((p) => p.severity === 'error')) return 1;

  const log = (line: string): void => void process.stderr.write(`drawbridge: ${line}\n`);
  const appliance = new Appliance(options.config, { ...loaded, config: loaded.config }, text, log);
  const stop = new Promise<string>((settle) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => settle(signal));
  });
  try {
    await appliance.start();
  } catch (error) {
    log(error instanceof Error ? error.message : String(error));
    return 1;
  }
  for (const line of appliance.refused.slice(0, 20)) log(`rule refused: ${line}`);
  if (appliance.refused.length > 20) log(`... and ${appliance.refused.length - 20} more refused rules (see: drawbridge rules check)`);
  log(`${appliance.config.ports.length} ports, ${appliance.rules} rules; events in ${appliance.eventFile || '(nowhere)'}; metrics at ${appliance.metricsUrl || '(not served)'}`);
  process.stdout.write('READY\n');
  const reason = await Promise.race([stop, appliance.failed.then((text_) => `data plane failed: ${text_}`)]);
  log(`stopping: ${reason}`);
  await appliance.stop();
  process.stdout.write('DONE\n');
  return reason.startsWith('data plane failed') ? 1 : 0;
}
