/** The sub-commands of `drawbridge files`. */
import { InvalidArgumentError, type Command } from 'commander';

const CONFIG = ['-c, --config <file>', 'configuration file of the running appliance', 'drawbridge.yaml'] as const;

/** @param done takes the exit code */
export function addFileCommands(program: Command, done: (code: number) => void): void {
  const files = program.command('files').description('malware scanning: directories and disk images here, VMs of the running appliance');
  const load = () => import('./files.js');

  files
    .command('scan')
    .description('scan directories, files or disk images in this process; exit code 3 = something was found, 4 = not all could be scanned')
    .argument('<path...>', 'root directory of a dormant VM, container root, any file')
    .option('-c, --config <file>', 'take engines and limits from a configuration file (default: the rules that come with the appliance)')
    .option('--image', 'the paths are raw disk images: their partitions are mounted read-only (needs root)', false)
    .option('-x, --exclude <path>', 'leave out, as a path below the root (may be repeated)', paths, [])
    .option('--json', 'one JSON object a path', false)
    .action(async (list: string[], o: { config?: string; image: boolean; exclude: string[]; json: boolean }) => done(await (await load()).scanHere(list, o)));
  files
    .command('scan-vm')
    .description('have the running appliance scan a VM through its driver or root directory')
    .argument('<vm>', 'name of the VM')
    .argument('[path...]', 'what to scan; default: everything')
    .option(...CONFIG)
    .option('-x, --exclude <path>', 'leave out (may be repeated; default: /proc, /sys, /dev)', paths)
    .action(async (vm: string, list: string[], o: { config: string; exclude?: string[] }) => done(await (await load()).scanVm(vm, list, { ...o, exclude: o.exclude ?? ['/proc', '/sys', '/dev'] })));
  files
    .command('status')
    .description('engines, queue, drivers and scans of the running appliance')
    .option(...CONFIG)
    .option('--json', 'as JSON', false)
    .action(async (o: { config: string; json: boolean }) => done(await (await load()).status(o)));
  for (const [what, help] of [['pause', 'pause a scan'], ['resume', 'go on with a paused scan'], ['cancel', 'end a scan']] as const) {
    files
      .command(what)
      .description(help)
      .argument('<id>', 'number of the scan', number)
      .option(...CONFIG)
      .action(async (id: number, o: { config: string }) => done(await (await load()).changeScan(id, what, o)));
  }
  files
    .command('refresh')
    .description('look for new signatures now')
    .option(...CONFIG)
    .action(async (o: { config: string }) => done(await (await load()).refresh(o)));

  files
    .command('logs')
    .description('show log files to the log rules; exit code 3 = something matched')
    .argument('<file...>', 'log files')
    .option('-r, --rules <path>', 'rule file or directory (may be repeated; default: those that come with the appliance)', (value: string, previous: string[]) => [...previous, value], [])
    .option('-l, --level <number>', 'lowest level shown', number, 6)
    .action(async (list: string[], o: { rules: string[]; level: number }) => done(await (await load()).inspectLogs(list, o)));

  const integrity = files.command('integrity').description('changes of files against a baseline');
  for (const [what, help] of [['baseline', 'take the state of a VM now as its baseline'], ['check', 'compare a VM with its baseline and report what changed']] as const) {
    integrity
      .command(what)
      .description(help)
      .argument('<vm>', 'name of the VM')
      .option(...CONFIG)
      .action(async (vm: string, o: { config: string }) => done(await (await load()).integrity(what, vm, o)));
  }
  integrity
    .command('status')
    .description('baselines that exist')
    .option(...CONFIG)
    .action(async (o: { config: string }) => done(await (await load()).integrityStatus(o)));

  const quarantine = files.command('quarantine').description('files taken out of VMs');
  quarantine
    .command('list')
    .description('what is kept')
    .option(...CONFIG)
    .option('--json', 'as JSON', false)
    .action(async (o: { config: string; json: boolean }) => done(await (await load()).quarantineList(o)));
  quarantine
    .command('restore')
    .description('put a file back into its VM, or write it to a file here')
    .argument('<id>', 'as quarantine list shows it')
    .option(...CONFIG)
    .option('--to <file>', 'write the content here instead; it stays in the quarantine')
    .action(async (id: string, o: { config: string; to?: string }) => done(await (await load()).quarantineRestore(id, o)));
  quarantine
    .command('remove')
    .description('destroy a kept file')
    .argument('<id>', 'as quarantine list shows it')
    .option(...CONFIG)
    .action(async (id: string, o: { config: string }) => done(await (await load()).quarantineRemove(id, o)));
}

function paths(value: string, previous: string[] | undefined): string[] {
  if (!value.startsWith('/')) throw new InvalidArgumentError('expected an absolute path');
  return [...(previous ?? []), value];
}

function number(value: string): number {
  const n = Number(value);
  if (!Number.isSafeInteger(n) || n < 1) throw new InvalidArgumentError('expected a whole number from 1');
  return n;
}
