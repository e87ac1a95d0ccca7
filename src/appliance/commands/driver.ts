/** `drawbridge driver`: make tokens, check that a driver could connect, see which are connected. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { EventMask, FAILURE_POLICY_NAMES, MarkScope, probe, type ProbeTarget } from '../../file-events/index.js';
import { loadConfig } from '../config/load.js';
import { formatProblem } from '../config/problem.js';
import { control } from '../control.js';
import { readToken } from '../driver-serving.js';

const TOKEN_BYTES = 32;

/** Write a fresh token, for its owner only. @returns 0, or 1 when the file is there already */
export function makeToken(file: string): number {
  if (existsSync(file)) {
    process.stderr.write(`drawbridge: ${file} exists; a new token would lock its driver out\n`);
    return 1;
  }
  writeFileSync(file, `${randomBytes(TOKEN_BYTES).toString('hex')}\n`, { mode: 0o600, flag: 'wx' });
  process.stdout.write(`${file}: copy it into the VM, readable by root only\n`);
  return 0;
}

/** @returns 0 when the appliance answered, 1 when not, 2 without a socket to ask on */
export async function driverStatus(options: { config: string; socket?: string }): Promise<number> {
  const socket = options.socket ?? configured(options.config)?.control ?? '';
  if (socket === '') {
    process.stderr.write(`drawbridge: ${options.config} sets no control.socket\n`);
    return 2;
  }
  const answer = await control(socket, 'drivers');
  for (const line of answer.lines) (answer.ok ? process.stdout : process.stderr).write(`${line}\n`);
  return answer.ok ? 0 : 1;
}

export interface TestOptions {
  readonly config: string;
  readonly connect?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
}

/**
 * Authenticate as the driver of a VM would, and print the policy it would get.
 * @returns 0 when both ends proved themselves, 1 when not, 2 when it is not said where to connect
 */
export async function driverTest(vm: string, options: TestOptions): Promise<number> {
  const settings = options.connect !== undefined && options.tokenFile !== undefined ? undefined : configured(options.config);
  const tokenFile = options.tokenFile ?? settings?.token(vm);
  const target = targetOf(options.connect ?? settings?.unix ?? '', options.ca);
  if (target === undefined || tokenFile === undefined) {
    process.stderr.write(`drawbridge: where to connect and with which token? ${options.config} must have drivers.unix and vms.${vm}.driver, or give --connect unix:/PATH|tls:HOST:PORT and --token-file\n`);
    return 2;
  }
  try {
    const config = await probe(target, vm, readToken(tokenFile));
    process.stdout.write(`${vm}: both ends know the token\n`);
    for (const m of config.mounts) {
      const events = Object.entries(EventMask).flatMap(([name, bit]) => ((m.events & bit) === 0 ? [] : [name.toLowerCase().replace('_', '-')]));
      process.stdout.write(`  ${m.path} (${m.scope === MarkScope.FILESYSTEM ? 'filesystem' : 'mount'}): ${events.join(', ')}; after ${m.timeoutMs} ms ${FAILURE_POLICY_NAMES[m.failure]}\n`);
    }
    process.stdout.write(`  ${config.maxOutstanding} files may wait; ${config.filters.length} filters; epoch ${config.epoch}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`drawbridge: ${vm}: ${(error as Error).message}\n`);
    return 1;
  }
}

function targetOf(connect: string, ca: string | undefined): ProbeTarget | undefined {
  if (connect.startsWith('unix:/')) return { unix: connect.slice(5) };
  const m = /^tls:(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(connect);
  return m === null ? undefined : { host: m[1] ?? m[2]!, port: Number(m[3]), ca: ca === undefined ? undefined : readFileSync(ca) };
}

/** What a configuration says about drivers; undefined when it has mistakes, which are told. */
function configured(file: string): { readonly unix: string; readonly control: string; token(vm: string): string | undefined } | undefined {
  const { config, problems } = loadConfig(file);
  if (config === undefined) {
    for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
    return undefined;
  }
  const at = (path: string): string => resolve(dirname(resolve(file)), path);
  return {
    unix: config.drivers.unix === '' ? '' : `unix:${at(config.drivers.unix)}`,
    control: config.control.socket === '' ? '' : at(config.control.socket),
    token: (vm) => {
      const driver = config.vms[vm]?.driver;
      return driver === undefined ? undefined : at(driver.token_file);
    },
  };
}
