/** The command line: one sub-command a file under commands/. Each returns the exit code: 0 fine, 1 failed, 2 bad usage. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { CaptureError } from '../packet/index.js';
import { addDriverCommands } from './commands/driver-cli.js';
import { addFileCommands } from './commands/files-cli.js';
import { addSwitchCommands } from './commands/switch-cli.js';
import { VERSION } from './version.js';

/** @param argv as process.argv. @returns the exit code; never throws */
export async function main(argv: readonly string[]): Promise<number> {
  let code = 0;
  const program = new Command('drawbridge');
  program
    .description('Agentless security appliance for virtual machines: virtual switch, stateful firewall and intrusion prevention on every port.')
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError('(see drawbridge --help)');

  program
    .command('run')
    .description('run the appliance on the ports of a configuration file')
    .option('-c, --config <file>', 'configuration file', 'drawbridge.yaml')
    .action(async (o: { config: string }) => {
      const { run } = await import('./commands/run.js');
      code = await run(o);
    });

  program
    .command('reload')
    .description('have the running appliance read its rules and policies again')
    .option('-c, --config <file>', 'its configuration file, which names the control socket', 'drawbridge.yaml')
    .option('--socket <path>', 'the control socket itself')
    .action(async (o: { config: string; socket?: string }) => {
      const { reload } = await import('./commands/reload.js');
      code = await reload(o);
    });

  program
    .command('replay')
    .description('judge the packets of capture files exactly as live traffic would be judged')
    .argument('<pcap...>', 'pcap or pcapng files, also .gz')
    .option('-S, --rules <file>', 'rule file (may be repeated)', collect, [])
    .option('-c, --config <file>', 'take firewall, rules and engine settings from a configuration file')
    .option('--eve <file>', 'write EVE JSON here')
    .option('--events <types>', 'comma list of event types, or "all"', 'all')
    .option('--write <file>', 'write the packets that pass to this pcap file')
    .option('--simulate-ips', 'enforce: dropped packets and flows go no further (default: detect only)', false)
    .option('--set <key=value>', 'engine setting by its Suricata name, e.g. stream.midstream=true (may be repeated)', keyValue, [])
    .option('--explain', 'tell in words what every stage did with the packets that raised an alert or were dropped', false)
    .option('--save-datasets', 'write the files that dataset rules name with save or state', false)
    .addOption(new Option('--stats', 'print counters at the end').default(false))
    .action(async (pcaps: string[], o: object) => {
      const { replay } = await import('./commands/replay.js');
      code = await replay(pcaps, o as Parameters<typeof replay>[1]);
    });

  program
    .command('check')
    .description('check a configuration file and its rules; starts nothing')
    .argument('[file]', 'configuration file', 'drawbridge.yaml')
    .action(async (file: string) => {
      const { check } = await import('./commands/check.js');
      code = await check(file);
    });

  program
    .command('explain')
    .description('trace one frame, or all frames of a flow, of a capture through every stage, in words')
    .argument('<pcap>', 'pcap or pcapng file')
    .option('-f, --frame <number>', 'number of the frame (pcap_cnt), from 1', positive)
    .option('--flow <id>', 'flow_id as the events print it', positive)
    .option('-S, --rules <file>', 'rule file (may be repeated)', collect, [])
    .option('-c, --config <file>', 'configuration file')
    .option('--set <key=value>', 'engine setting by its Suricata name', keyValue, [])
    .action(async (pcap: string, o: object) => {
      const { explain } = await import('./commands/explain.js');
      code = await explain(pcap, o as Parameters<typeof explain>[1]);
    });

  program
    .command('trace')
    .description('what would happen to a packet from a port, stage by stage; nothing is sent, no appliance needs to run')
    .argument('<port>', 'port the packet comes from; it needs a mac in the configuration')
    .argument('<packet>', 'e.g. "tcp 10.0.0.20:40000 > 10.0.0.10:80 syn", "udp [fd00::1]:5000 > [fd00::2]:53", "icmp A > B", "arp A > B"')
    .option('-c, --config <file>', 'configuration file', 'drawbridge.yaml')
    .option('--to <port>', 'port that has the destination (default: the one whose ips has it, else a stranger)')
    .action(async (port: string, packet: string, o: { config: string; to?: string }) => {
      const { trace } = await import('./commands/trace.js');
      code = await trace(port, packet, o);
    });

  program
    .command('lab')
    .description('build three VMs on TAP ports (web server, client, attacker), attack, and show what was stopped')
    .option('--once', 'tear down and exit after the story; so it does when standard output is no terminal', false)
    .option('--replay', 'tell the story from shipped captures, without privileges', false)
    .option('--metrics <host:port>', 'where to serve metrics (default: as configured, or a free port when that is taken)')
    .action(async (o: { once: boolean; replay: boolean; metrics?: string }) => {
      const { lab } = await import('./commands/lab.js');
      code = await lab(o);
    });

  program
    .command('health')
    .description('ask the running appliance whether it is well')
    .option('--url <url>', 'its health address', 'http://127.0.0.1:9464/healthz')
    .action(async (o: { url: string }) => {
      const { health } = await import('./commands/health.js');
      code = await health(o);
    });

  program
    .command('policy')
    .description('ask the firewall policies of a configuration file')
    .command('reach')
    .description('may A open a connection to B, and which rules say so')
    .argument('<from>', 'VM, address, or ADDRESS@VM')
    .argument('<to>', 'VM:443, 10.0.0.1:53/udp, [2001:db8::1]:443 or VM/icmp')
    .option('-c, --config <file>', 'configuration file', 'drawbridge.yaml')
    .option('--source-port <number>', 'source port of the connection', positive, 50_000)
    .option('--at <time>', 'when, for rules with a schedule (ISO 8601; default: now)')
    .option('--json', 'answer in JSON', false)
    .action(async (from: string, to: string, o: { config: string; sourcePort: number; at?: string; json: boolean }) => {
      const { reach } = await import('./commands/policy.js');
      code = await reach(from, to, { ...o, now: Date.now() });
    });

  const rules = program.command('rules').description('look at rule files');
  rules
    .command('check')
    .description('load rule files and say what was refused and why')
    .argument('<file...>', 'rule files')
    .action(async (files: string[]) => {
      const { rulesCheck } = await import('./commands/rules.js');
      code = await rulesCheck(files);
    });
  rules
    .command('profile')
    .description('replay captures and tell what each rule costs: checks, matches, time')
    .argument('<pcap...>', 'pcap or pcapng files')
    .requiredOption('-S, --rules <file>', 'rule file (may be repeated)', collect, [])
    .addOption(new Option('--sort <column>', 'order of the table').choices(['time', 'checks', 'matches']).default('time'))
    .option('--top <number>', 'rules shown', positive, 30)
    .option('--json', 'all rules that were checked, one JSON object per line', false)
    .option('--simulate-ips', 'as an inline engine judges', false)
    .option('--set <key=value>', 'engine setting by its Suricata name (may be repeated)', keyValue, [])
    .action(async (pcaps: string[], o: object) => {
      const { rulesProfile } = await import('./commands/rules-profile.js');
      code = await rulesProfile(pcaps, o as Parameters<typeof rulesProfile>[1]);
    });
  rules
    .command('explain')
    .description('show how a rule was compiled: group, prefilter pattern, buffers')
    .argument('<sid>', 'signature id', positive)
    .argument('<file...>', 'rule files')
    .action(async (sid: number, files: string[]) => {
      const { rulesExplain } = await import('./commands/rules.js');
      code = await rulesExplain(sid, files);
    });

  const web = program.command('web').description('look at rules of the web engine');
  web
    .command('check')
    .description('load SecLang files in this order and say what was refused and why')
    .argument('<file...>', 'rule files')
    .action(async (files: string[]) => {
      const { webCheck } = await import('./commands/web.js');
      code = await webCheck(files);
    });
  const done = (c: number): void => {
    code = c;
  };
  addFileCommands(program, done);
  addDriverCommands(program, done);
  addSwitchCommands(program, done);

  web
    .command('tune')
    .description('make the narrowest exclusion for a false block and show what it costs')
    .argument('<events>', 'event file')
    .argument('<transaction>', 'transaction id, as the block page and the web event show it', transactionId)
    .option('-c, --config <file>', 'configuration file', 'drawbridge.yaml')
    .option('-o, --out <file>', 'exclusion file to add to, relative to the configuration', 'web-exclusions.conf')
    .option('--days <number>', 'days until the rules hold again', positive, 90)
    .option('--prefix', 'for all paths that begin like this one', false)
    .option('--dry-run', 'write nothing', false)
    .action(async (events: string, id: string, o: object) => {
      const { webTune } = await import('./commands/web-tune.js');
      code = await webTune(events, id, o as Parameters<typeof webTune>[2]);
    });

  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`drawbridge: ${describe(error)}\n`);
    return 1;
  }
  return code;
}

/** System errors in one line; programming errors with their stack, since those are ours to fix. */
function describe(error: unknown): string {
  if (error instanceof CaptureError) return error.message;
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}

function keyValue(value: string, previous: [string, string][]): [string, string][] {
  const at = value.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('expected KEY=VALUE');
  return [...previous, [value.slice(0, at), value.slice(at + 1)]];
}

function transactionId(value: string): string {
  if (!/^[0-9a-z]+-[0-9a-z]+-[0-9]+$/.test(value)) throw new InvalidArgumentError('expected a transaction id such as t8wh40-5q58zwdmo9-0');
  return value;
}

function positive(value: string): number {
  const n = Number(value);
  if (!Number.isSafeInteger(n) || n < 1) throw new InvalidArgumentError('expected a whole number from 1');
  return n;
}
