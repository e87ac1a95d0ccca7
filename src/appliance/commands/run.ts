/** `drawbridge run`: the appliance in the foreground. Logs to stderr; SIGTERM and SIGINT stop it in order, SIGHUP reloads. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { formatRefusal } from '../../ips/index.js';
import { Appliance } from '../appliance.js';
import { compileFirewall } from '../build.js';
import { parseConfig } from '../config/load.js';
import { formatProblem } from '../config/problem.js';
import type { SwitchRequest } from '../switch-control.js';
import { ControlServer, type ControlAnswer } from '../control.js';
import { fileControl } from '../file-control.js';
import { ReloadRefused } from '../reload.js';

/** Refusals and reasons told in full. */
const TOLD = 20;
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
  for (const refusal of appliance.refusals.slice(0, TOLD)) log(`rule refused: ${formatRefusal(refusal)}`);
  if (appliance.refusals.length > TOLD) log(`... and ${appliance.refusals.length - TOLD} more refused rules (see: drawbridge rules check)`);
  const reload = async (): Promise<ControlAnswer> => {
    const answer = await reloaded(appliance);
    for (const line of answer.lines) log(line);
    return answer;
  };
  const control = await openControl(options.config, appliance, reload, log);
  if (control === undefined) {
    await appliance.stop();
    return 1;
  }
  process.on('SIGHUP', () => void reload());
  log(`${appliance.config.ports.length} ports, ${appliance.rules} rules; events in ${appliance.eventFile || '(nowhere)'}; metrics at ${appliance.metricsUrl || '(not served)'}`);
  process.stdout.write('READY\n');
  const failure = appliance.failed.then((why) => `${FAILED}${why}`);
  const reason = await Promise.race([stop, failure]);
  log(`stopping: ${reason}`);
  await control?.close();
  await appliance.stop();
  if (reason.startsWith(FAILED)) return 1;
  process.stdout.write('DONE\n');
  return 0;
}

/** Reload, in words. */
async function reloaded(appliance: Appliance): Promise<ControlAnswer> {
  const started = performance.now();
  try {
    await appliance.reload();
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    return { ok: true, lines: [`reloaded: generation ${appliance.generation}, ${appliance.rules} rules, ${appliance.refusals.length} refused (${seconds} s)`] };
  } catch (error) {
    if (!(error instanceof ReloadRefused)) throw error;
    const { reasons } = error;
    const more = reasons.length > TOLD ? [`... and ${reasons.length - TOLD} more (see: drawbridge check)`] : [];
    return { ok: false, lines: [`reload refused, generation ${appliance.generation} stays in force:`, ...reasons.slice(0, TOLD), ...more] };
  }
}

function driverLines({ drivers }: Appliance): ControlAnswer {
  return drivers === null ? { ok: false, lines: ['drivers cannot connect: the configuration of the running appliance gives no drivers.unix, vsock_port or tls'] } : { ok: true, lines: drivers.status() };
}

const SWITCH = 'switch ';

function askSwitch(appliance: Appliance, text: string): Promise<ControlAnswer> {
  let request: unknown;
  try {
    request = JSON.parse(text);
  } catch (error) {
    return Promise.resolve({ ok: false, lines: [`switch: ${error instanceof Error ? error.message : String(error)}`] });
  }
  if (typeof request !== 'object' || request === null) return Promise.resolve({ ok: false, lines: ['switch: the request is no object'] });
  return appliance.switch(request as SwitchRequest);
}

/** @returns null when none is configured, undefined when it cannot be had (told) */
async function openControl(file: string, appliance: Appliance, reload: () => Promise<ControlAnswer>, log: (line: string) => void): Promise<ControlServer | null | undefined> {
  const { socket } = appliance.config.control;
  if (socket === '') return null;
  try {
    return await ControlServer.open(resolve(dirname(resolve(file)), socket), (command) => {
      if (command === 'reload') return reload();
      if (command.startsWith('files ')) return fileControl(appliance.files, command.slice('files '.length));
      if (command === 'drivers') return Promise.resolve(driverLines(appliance));
      if (command.startsWith(SWITCH)) return askSwitch(appliance, command.slice(SWITCH.length));
      return Promise.resolve({ ok: false, lines: [`unknown command "${command}"; known: reload, files, drivers, switch`] });
    });
  } catch (error) {
    log(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}
