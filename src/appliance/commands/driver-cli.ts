/** The sub-commands of `drawbridge driver`. */
import type { Command } from 'commander';

const CONFIG = ['-c, --config <file>', 'configuration file of the appliance', 'drawbridge.yaml'] as const;

/** @param done takes the exit code */
export function addDriverCommands(program: Command, done: (code: number) => void): void {
  const driver = program.command('driver').description('drivers inside VMs, which ask about files before processes get them');
  const load = () => import('./driver.js');

  driver
    .command('token')
    .description('make the secret that a driver and the appliance share')
    .argument('<file>', 'where to write it (readable by its owner only); vms.NAME.driver.token_file names it')
    .action(async (file: string) => done((await load()).makeToken(file)));
  driver
    .command('status')
    .description('which drivers are connected to the running appliance, and what they count')
    .option(...CONFIG)
    .option('--socket <path>', 'its control socket (default: control.socket of the configuration)')
    .action(async (o: { config: string; socket?: string }) => done(await (await load()).driverStatus(o)));
  driver
    .command('test')
    .description('authenticate as the driver of a VM and print the policy it would get; the driver itself is not disturbed')
    .argument('<vm>', 'name of the VM')
    .option(...CONFIG)
    .option('--connect <address>', 'unix:/PATH or tls:HOST:PORT (default: drivers.unix of the configuration)')
    .option('--token-file <file>', 'default: that of the configuration')
    .option('--ca <file>', 'certificate (PEM) that the appliance must show, for tls')
    .action(async (vm: string, o: { config: string; connect?: string; tokenFile?: string; ca?: string }) => done(await (await load()).driverTest(vm, o)));
}
