/** `drawbridge trace`: what the appliance would do with a described packet from one of its ports, stage by stage; nothing is sent. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PcapWriter, parsePrefix, prefixContains, type IpAddress } from '../../packet/index.js';
import type { PortDefinition } from '../../vswitch/index.js';
import { loadConfig, type Config } from '../config/load.js';
import { formatProblem } from '../config/problem.js';
import { buildPacket, parsePacket, type DescribedPacket } from '../described-packet.js';
import { explain } from './explain.js';

export interface TraceOptions {
  readonly config: string;
  /** Port that has the destination; default: the one whose `ips` has it. */
  readonly to?: string;
}

/** A station nobody has configured. */
const STRANGER = '02:00:00:00:00:fe';

/** @returns 0 when the packet was traced, whatever became of it; 1 when nothing could be traced; 2 for a description that is none */
export async function trace(from: string, text: string, options: TraceOptions): Promise<number> {
  const { config, problems } = loadConfig(options.config);
  if (config === undefined) {
    for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
    return 1;
  }
  let frame: Uint8Array;
  try {
    const packet = parsePacket(text);
    frame = buildPacket(packet, macOf(config, from), destination(config, packet, from, options.to));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    process.stderr.write(`drawbridge: ${error.message}\n`);
    return 2;
  }
  const dir = mkdtempSync(join(tmpdir(), 'drawbridge-trace-'));
  try {
    const pcap = join(dir, 'packet.pcap');
    const writer = new PcapWriter(pcap);
    writer.write(frame, 0, frame.length, frame.length, Math.floor(Date.now() / 1000), 0);
    writer.close();
    return await explain(pcap, { config: options.config, frame: 1, rules: [], set: [] });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function port(config: Config, name: string): PortDefinition {
  const found = config.ports.find((p) => p.name === name);
  if (found === undefined) throw new SyntaxError(`there is no port "${name}"; known: ${config.ports.map((p) => p.name).join(', ')}`);
  return found as unknown as PortDefinition;
}

/** Frames are told apart by their MAC, so a port without one cannot be the source. */
function macOf(config: Config, name: string): string {
  const { mac } = port(config, name);
  if (mac === undefined) throw new SyntaxError(`port ${name} has no mac in the configuration: nothing would show that the packet comes from it`);
  return mac;
}

function destination(config: Config, packet: DescribedPacket, from: string, to: string | undefined): string {
  if (to !== undefined) return macOf(config, to);
  const owner = config.ports.find((p) => p.name !== from && has(p as unknown as PortDefinition, packet.dst)) as unknown as PortDefinition | undefined;
  return owner?.mac ?? STRANGER;
}

function has(definition: PortDefinition, address: IpAddress): boolean {
  return definition.mac !== undefined && (definition.ips ?? []).some((text) => prefixContains(parsePrefix(text), address));
}
