/**
 * Which settings hold for which request. One compiled rule set serves all virtual machines and hosts; what differs is laid
 * over it: engine mode, setup variables, exclusions. Overrides are applied in the order of the configuration, later ones over
 * earlier ones; every combination that occurs is made once.
 */
import type { CompiledExclusion, WebPolicy } from '../transaction.js';

/** Engine mode for a port or a request. Numbers rise with strictness. */
export const WebMode = { OFF: 0, DETECT: 1, ON: 2 } as const;
export type WebMode = (typeof WebMode)[keyof typeof WebMode];

/** What a blocked client gets. */
export type BlockAnswer = 'reset' | 'page';

/** One entry of `web.overrides`; absent settings are inherited. */
export interface WebOverride {
  readonly name: string;
  /** Names of the VMs whose requests it is for, null = all. */
  readonly vms: readonly string[] | null;
  /** Host names in lower case, `*.example.org` for all below a domain; null = all. */
  readonly hosts: readonly string[] | null;
  readonly mode?: WebMode;
  readonly block?: BlockAnswer;
  readonly variables: ReadonlyMap<string, string>;
  readonly exclusions: readonly CompiledExclusion[];
}

/** What holds for one request. */
export interface RequestPolicy {
  readonly mode: WebMode;
  readonly block: BlockAnswer;
  readonly policy: WebPolicy;
  /** Names of the overrides that apply. */
  readonly names: readonly string[];
}

/** Overrides at most: their combinations are looked up by a bit mask. */
export const MAX_OVERRIDES = 30;

const POLICY_MODES = { [WebMode.OFF]: 'off', [WebMode.DETECT]: 'detection-only', [WebMode.ON]: 'on' } as const;

export class WebPolicies {
  readonly #base: WebOverride;
  readonly #overrides: readonly WebOverride[];
  /** Mask of overrides * 4 + mode -> what holds. */
  readonly #made = new Map<number, RequestPolicy>();

  /** @param base settings for all; its mode is that of the port and not read */
  constructor(base: WebOverride, overrides: readonly WebOverride[]) {
    if (overrides.length > MAX_OVERRIDES) throw new RangeError(`${overrides.length} overrides, at most ${MAX_OVERRIDES}`);
    this.#base = base;
    this.#overrides = overrides;
  }

  /**
   * @param vm name of the VM that serves, '' when none is known
   * @param host as the request names it: lower case, no port
   * @param portMode what the port of the server wants
   * @param enforce false: nothing may be blocked, whatever is configured
   */
  of(vm: string, host: string, portMode: WebMode, enforce: boolean): RequestPolicy {
    let mask = 0;
    for (let i = 0; i < this.#overrides.length; i++) if (applies(this.#overrides[i]!, vm, host)) mask |= 1 << i;
    const key = mask * 8 + portMode * 2 + (enforce ? 1 : 0);
    let made = this.#made.get(key);
    if (made === undefined) this.#made.set(key, (made = this.#make(mask, portMode, enforce)));
    return made;
  }

  #make(mask: number, portMode: WebMode, enforce: boolean): RequestPolicy {
    let mode = portMode;
    let { block = 'reset' } = this.#base;
    const variables = new Map(this.#base.variables);
    const exclusions = [...this.#base.exclusions];
    const names: string[] = [];
    this.#overrides.forEach((o, i) => {
      if ((mask & (1 << i)) === 0) return;
      names.push(o.name);
      mode = o.mode ?? mode;
      block = o.block ?? block;
      for (const [name, value] of o.variables) variables.set(name, value);
      exclusions.push(...o.exclusions);
    });
    if (!enforce && mode === WebMode.ON) mode = WebMode.DETECT;
    return { mode, block, names, policy: { mode: POLICY_MODES[mode], variables, exclusions } };
  }
}

function applies(o: WebOverride, vm: string, host: string): boolean {
  return (o.vms === null || o.vms.includes(vm)) && (o.hosts === null || o.hosts.some((pattern) => hostMatches(pattern, host)));
}

function hostMatches(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === host;
  return host.length > pattern.length - 1 && host.endsWith(pattern.slice(1));
}
