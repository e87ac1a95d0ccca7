/**
 * The lab with real programs: namespaces as VMs on TAP ports of a real appliance, nginx, curl and nmap. Whatever happens -
 * a failing step, a signal, a crash - nothing stays behind but the event file and the capture that the report points to.
 */
import { accessSync, constants, readFileSync, rmSync, existsSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { delimiter, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Appliance } from '../appliance.js';
import { compileFirewall } from '../build.js';
import { loadConfig, parseConfig, type Config } from '../config/load.js';
import { formatProblem } from '../config/problem.js';
import { Evidence } from './evidence.js';
import { LabNetwork, namespaceRefusal, type LabVm, type Outcome } from './namespaces.js';
import { DRAWBRIDGE, LAB_CONFIG } from './paths.js';
import { findFrame } from './replayed.js';
import { decision, print, printAccounts, printHeader, printResult, printSummary, shown, type StepResult } from './report.js';
import { SCAN_MAY_LEARN, SCAN_PORTS, STORY, WEB_IP, type StoryStep } from './story.js';
import { WELCOME, WebServer } from './web-server.js';

export interface LiveOptions {
  /** host:port of the metrics; undefined = the configured one, or a free port when that is taken. */
  readonly metrics?: string;
  /** Stay after the story until a signal comes. */
  readonly stay: boolean;
}

type LabSetting = LiveOptions & { readonly metrics: string };

const PROGRAMS = ['ip', 'nginx', 'curl', 'nmap'];
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** An attack is stopped at once: what takes longer is a hang. */
const AT_ONCE_MS = 2000;
const VISIT_S = 5;
/** A source that is cut off gets no answer at all; so long it waits for one. */
const SILENCE_S = 2;
const SCAN_S = 30;
const EVENTS_MS = 1000;

/** Why the lab cannot run live here, in one line; undefined when it can. */
export function liveRefusal(): string | undefined {
  if (process.getuid?.() !== 0) return 'this needs root (TAP devices and network namespaces)';
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
  } catch (error) {
    return `no TAP devices here: ${(error as Error).message}`;
  }
  const path = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const missing = PROGRAMS.filter((p) => !path.some((dir) => existsSync(join(dir, p))));
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`;
  return namespaceRefusal();
}

/** @returns exit code: 0 when everything went as it must */
export async function liveLab(options: LiveOptions): Promise<number> {
  const lock = await takeLock();
  if (lock === null) {
    process.stderr.write('drawbridge: a lab is running already on this machine\n');
    return 1;
  }
  let lab: LiveLab | null = null;
  try {
    lab = new LiveLab({ ...options, metrics: options.metrics ?? (await freeMetrics()) });
    return await lab.run();
  } catch (error) {
    if (lab !== null && lab.stopSignal !== '') return 1;
    process.stderr.write(`drawbridge: the lab failed: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await lab?.close();
    lock.close();
  }
}

/** The configured metrics address, or a free port of it while something else (an appliance at work) has it. */
async function freeMetrics(): Promise<string> {
  const { listen } = loadConfig(LAB_CONFIG).config?.metrics ?? { listen: '' };
  const [host = '', port = ''] = listen.split(/:(?=\d+$)/);
  if (port === '') return listen;
  const probe = createServer();
  const taken = await new Promise<boolean>((settle) => {
    probe.once('error', () => settle(true));
    probe.listen(Number(port), host === '' ? undefined : host, () => settle(false));
  });
  if (!taken) await new Promise((settle) => probe.close(settle));
  return taken ? `${host}:0` : listen;
}

/** One lab a machine: an abstract socket is taken at once and given back by the kernel whatever becomes of the process. */
async function takeLock(): Promise<Server | null> {
  const server = createServer();
  return new Promise((settle) => {
    server.once('error', () => settle(null));
    server.listen('\0drawbridge-lab', () => settle(server));
  });
}

class LiveLab {
  /** The signal that asked to stop, '' while none did. */
  stopSignal = '';
  readonly #o: LabSetting;
  readonly #config: Config;
  readonly #network: LabNetwork;
  readonly #web: WebServer;
  readonly #appliance: Appliance;
  readonly #stopped: Promise<void>;
  readonly #onExit = (): void => this.#removeAll();
  #evidence = new Evidence('');
  #ruleCount = 0;

  constructor(options: LabSetting) {
    this.#o = options;
    const text = readFileSync(LAB_CONFIG, 'utf8');
    const loaded = parseConfig(LAB_CONFIG, text);
    const problems = [...loaded.problems, ...(loaded.config === undefined ? [] : compileFirewall(loaded.config, loaded.yaml).problems)];
    if (loaded.config === undefined || problems.some((p) => p.severity === 'error')) throw new Error(problems.map(formatProblem).join('\n'));
    this.#config = loaded.config;
    this.#network = new LabNetwork(loaded.config.ports.map(labVm));
    this.#web = new WebServer('drawbridge-lab-');
    for (const file of [this.#eventFile, this.#capture]) rmSync(file, { force: true });
    this.#appliance = new Appliance(
      LAB_CONFIG,
      { ...loaded, config: { ...loaded.config, metrics: { listen: options.metrics } } },
      text,
      // Namespaces are entered by this very process.
      { log: (line) => process.stderr.write(`drawbridge: ${line}\n`), onEvent: (line) => this.#evidence.add(line), keepPrivileges: true },
    );
    this.#stopped = new Promise((settle) => {
      const asked = (signal: string): void => {
        for (const each of SIGNALS) process.removeListener(each, asked);
        this.stopSignal = signal;
        // No step is waited for.
        this.#network.endPrograms();
        settle();
      };
      for (const signal of SIGNALS) process.on(signal, asked);
    });
    // The last resort: process.exit and uncaught errors pass here too.
    process.once('exit', this.#onExit);
  }

  get #eventFile(): string {
    return resolve(dirname(LAB_CONFIG), this.#config.events.file);
  }

  get #capture(): string {
    return resolve(dirname(LAB_CONFIG), this.#config.mirrors[0]!.file);
  }

  async run(): Promise<number> {
    this.#network.create();
    await this.#appliance.start();
    this.#ruleCount = this.#appliance.rules;
    this.#network.attach();
    await this.#web.start(this.#network, this.#network.vm('web'));
    this.#printScene();
    const results: StepResult[] = [];
    let explain = '';
    printHeader();
    for (const step of STORY) {
      const result = await this.#play(step);
      if (this.stopSignal !== '') return 1;
      results.push(result);
      printResult(result);
      if (explain === '' && step.sid !== undefined && result.ok) explain = await this.#explainCommand(step.sid);
    }
    print();
    const good = printSummary(results, printAccounts(this.#appliance.counters));
    this.#printWhere(explain);
    if (!this.#o.stay) return good ? 0 : 1;
    print();
    print(`The VMs stay until Ctrl-C. Try: ip netns exec ${this.#network.vm('client').namespace} curl http://${WEB_IP}/`);
    const failure = await Promise.race([this.#stopped, this.#appliance.failed]);
    if (failure !== undefined) throw new Error(`the data plane failed: ${failure}`);
    print();
    return good ? 0 : 1;
  }

  async close(): Promise<void> {
    // The appliance first: a TAP that vanishes with its namespace is an error to it.
    await this.#appliance.stop();
    this.#removeAll();
    process.removeListener('exit', this.#onExit);
  }

  #removeAll(): void {
    this.#network.destroy();
    this.#web.remove();
  }

  async #play(step: StoryStep): Promise<StepResult> {
    const evidence = new Evidence(step.from);
    this.#evidence = evidence;
    const vm = this.#network.vm(step.from);
    const silent = step.expect === 'blocked' && step.sid === undefined;
    const outcome =
      step.curl === null
        ? await this.#network.exec(vm, 'nmap', ['-n', '-Pn', '-sS', '-T4', '--max-retries', '0', '--min-rate', '500', '-p', `1-${SCAN_PORTS}`, '-oG', '-', WEB_IP], SCAN_S * 1000)
        : await this.#network.exec(vm, 'curl', ['-sS', '-m', String(silent ? SILENCE_S : VISIT_S), '-w', '\n%{http_code} %{time_total}', ...step.curl], (VISIT_S + 5) * 1000);
    const { ok, observed } = step.curl === null ? scanned(outcome) : step.expect === 'allowed' ? visited(outcome) : silent ? unanswered(outcome) : reset(outcome);
    const proven = (): boolean =>
      step.expect === 'allowed' ? evidence.alerts === 0 && evidence.reasons.size === 0 : step.sid !== undefined ? evidence.blocks.has(step.sid) : step.curl === null ? evidence.recon !== null : evidence.reasons.size > 0;
    // Events come by way of the worker's ring: a moment later than the packet.
    for (let waited = 0; step.expect === 'blocked' && !proven() && waited < EVENTS_MS; waited += 20) await sleep(20);
    return { step, ok: ok && proven(), observed, decidedBy: decision(step, evidence) };
  }

  /** The command that tells what happened to the packet of the first attack, tried out on the capture. */
  async #explainCommand(sid: number): Promise<string> {
    const port = this.#evidence.blocks.get(sid)!.clientPort;
    // The worker hands its capture buffer on every 100 ms.
    for (let tries = 0; tries < 20; tries++) {
      const frame = existsSync(this.#capture) ? findFrame(this.#capture, sid, port) : 0;
      if (frame > 0) return `${shown(DRAWBRIDGE)} explain ${shown(this.#capture)} --frame ${frame} -c ${shown(LAB_CONFIG)}`;
      await sleep(100);
    }
    return '';
  }

  #printScene(): void {
    print(`Drawbridge lab: three VMs (network namespaces) on TAP ports; ${this.#ruleCount} IPS rules; configuration ${shown(LAB_CONFIG)}`);
    for (const vm of this.#network.vms) {
      const policy = this.#config.vms[vm.name]!.firewall;
      const runs = vm.name === 'web' ? 'nginx' : vm.name === 'client' ? 'curl' : 'curl, nmap';
      print(`  ${vm.name.padEnd(9)} ${vm.ip.padEnd(11)} ${runs.padEnd(10)} ${policy === undefined ? 'no firewall policy' : `firewall policy ${policy}`}`);
    }
    print();
  }

  #printWhere(explain: string): void {
    print();
    print('Where to look:');
    print(`  metrics   ${this.#appliance.metricsUrl || '(not served)'}${this.#o.stay ? '' : ' (while the lab runs)'}`);
    print(`  events    ${shown(this.#eventFile)}`);
    print(`  capture   ${shown(this.#capture)}`);
    if (explain !== '') print(`  explain   ${explain}`);
  }
}

function labVm(port: Config['ports'][number]): LabVm {
  const tap = String(port['device']);
  return { name: port.vm!, namespace: tap, tap, mac: String(port['mac']), ip: (port['ips'] as string[])[0]! };
}

interface Seen {
  readonly ok: boolean;
  readonly observed: string;
}

/** What curl's --write-out says after the body. */
function curlSays(o: Outcome): { status: string; ms: number; body: string } {
  const at = o.stdout.lastIndexOf('\n');
  const [status = '000', seconds = '0'] = o.stdout.slice(at + 1).split(' ');
  return { status, ms: Math.max(1, Math.round(Number(seconds) * 1000)), body: o.stdout.slice(0, at) };
}

function visited(o: Outcome): Seen {
  const { status, ms, body } = curlSays(o);
  if (o.code === 0) return { ok: status === '200' && body.includes(WELCOME), observed: `HTTP ${status} in ${ms} ms` };
  return { ok: false, observed: problem(o) };
}

function reset(o: Outcome): Seen {
  const { status, ms } = curlSays(o);
  const cut = (o.code === 55 || o.code === 56) && /reset/i.test(o.stderr);
  if (cut) return { ok: ms < AT_ONCE_MS, observed: `connection reset after ${ms} ms` };
  return { ok: false, observed: o.code === 0 ? `answered: HTTP ${status}` : problem(o) };
}

function unanswered(o: Outcome): Seen {
  if (o.code === 28) return { ok: true, observed: `no answer in ${SILENCE_S} s` };
  return { ok: false, observed: o.code === 0 ? 'answered' : problem(o) };
}

/** nmap -oG: ports that answered in any way stand behind "Ports:", those that did not are only counted. */
function scanned(o: Outcome): Seen {
  if (o.code !== 0) return { ok: false, observed: problem(o) };
  const list = /Ports: ([^\t\n]*)/.exec(o.stdout)?.[1] ?? '';
  const learned = list.split(', ').filter((p) => p !== '' && !p.includes('/filtered/'));
  const which = learned.map((p) => p.split('/').slice(0, 2).join(' '));
  const words = which.length === 0 ? 'learned nothing' : which.length <= SCAN_MAY_LEARN ? `learned only: ${which.join(', ')}` : `learned ${which.length} ports`;
  return { ok: learned.length <= SCAN_MAY_LEARN, observed: `${words} (${o.ms} ms)` };
}

function problem(o: Outcome): string {
  const said = o.stderr.trim().split('\n').at(-1) ?? '';
  return said === '' ? `ended with ${o.code}` : said;
}
