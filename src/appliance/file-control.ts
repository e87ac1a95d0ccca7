/** What `drawbridge files` asks the running appliance over the control socket: `files {"op": ..., ...}`. */
import type { FileService } from '../file-events/index.js';
import type { ControlAnswer } from './control.js';

type Json = Record<string, unknown>;
type Operation = (service: FileService, request: Json) => Promise<unknown> | unknown;

/** A request that cannot be followed; the message is the answer. */
class Refused extends Error {}

const OPERATIONS: Readonly<Record<string, Operation>> = {
  status: (s) => ({ ...statusOf(s), scans: s.scans.list() }),
  scan: (s, r) => s.scan(text(r, 'vm'), list(r, 'paths', ['/']), list(r, 'exclude', [])),
  pause: (s, r) => changed(s, r, 'pause'),
  resume: (s, r) => changed(s, r, 'resume'),
  cancel: (s, r) => changed(s, r, 'cancel'),
  refresh: async (s) => ({ changed: await s.refresh() }),
  quarantine: (s) => s.store.list(),
  integrity: (s) => s.integrity.list(),
  baseline: (s, r) => s.integrity.baseline(text(r, 'vm')),
  check: (s, r) => s.integrity.check(text(r, 'vm')),
  restore: (s, r) => s.restore(text(r, 'id')),
  remove: (s, r) => {
    if (!s.store.remove(text(r, 'id'))) throw new Refused(`there is no file ${text(r, 'id')} in the quarantine`);
    return {};
  },
};

/**
 * @param service null when file scanning is off
 * @param request JSON text behind the word `files`
 * @returns `value` holds the result
 */
export async function fileControl(service: FileService | null, request: string): Promise<ControlAnswer> {
  try {
    if (service === null) throw new Refused('files.enabled is off in the configuration of the running appliance');
    const asked = parsed(request);
    const operation = OPERATIONS[text(asked, 'op')];
    if (operation === undefined) throw new Refused(`unknown operation "${text(asked, 'op')}"; known: ${Object.keys(OPERATIONS).join(', ')}`);
    return { ok: true, lines: [], value: await operation(service, asked) };
  } catch (error) {
    return { ok: false, lines: [error instanceof Error ? error.message : String(error)] };
  }
}

async function changed(service: FileService, request: Json, to: 'pause' | 'resume' | 'cancel'): Promise<unknown> {
  const { id } = request;
  if (typeof id !== 'number') throw new Refused('"id" must be a number');
  const record = await service.scans.change(id, to);
  if (record === undefined) throw new Refused(`no scan ${id} is under way or paused`);
  return record;
}

function parsed(request: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(request);
  } catch {
    throw new Refused('not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Refused('not a JSON object');
  return value as Json;
}

function text(request: Json, key: string): string {
  const value = request[key];
  if (typeof value !== 'string' || value === '') throw new Refused(`"${key}" must be text`);
  return value;
}

function list(request: Json, key: string, otherwise: readonly string[]): readonly string[] {
  const value = request[key] ?? otherwise;
  if (!Array.isArray(value) || !value.every((v) => typeof v === 'string' && v.startsWith('/'))) throw new Refused(`"${key}" must be a list of absolute paths`);
  return value as string[];
}

export type FileStatus = ReturnType<typeof statusOf>;

function statusOf(s: FileService) {
  return {
    epoch: s.engines.epoch,
    engines: s.engines.engines.map((e) => ({ name: e.name, epoch: e.epoch, ...s.engines.stats.get(e.name)! })),
    queue: { waiting: s.queue.depth, running: s.queue.running, ...s.queue.counts },
    cache: { contents: s.cache.size, evicted: s.cache.evicted, host_identities: s.judge.hostIdentities },
    answers: s.judge.counts,
    scanner: s.scanner.counts,
    rejudged: s.rejudged,
    flow_files: s.flowFiles,
    quarantine: { files: s.store.list().length, bytes: s.store.bytes },
    vms: s.judge.vms.all.map((vm) => ({ name: vm.name, connected: vm.session?.open === true, driver: vm.session?.driver ?? '', peer: vm.session?.peer ?? '', identities: vm.identities.size, identity_bytes: vm.identities.bytes })),
  };
}
