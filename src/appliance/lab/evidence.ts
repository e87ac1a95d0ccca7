/** What the appliance's own events say about a step: the proof of the report, live and from captures alike. */

interface EveLine {
  readonly event_type: string;
  readonly pcap_cnt?: number;
  readonly src_vm?: string;
  readonly src_port?: number;
  readonly alert?: { readonly action: string; readonly signature_id: number; readonly signature: string };
  readonly web?: { readonly action: string; readonly rule_id?: number; readonly reason?: string };
  readonly drop?: { readonly reason: string; readonly stage: string };
  readonly recon?: { readonly detection: string; readonly blocked_seconds: number };
}

export interface Block {
  readonly by: 'IPS' | 'web';
  readonly sid: number;
  readonly msg: string;
  /** Source port of the client; finds the flow again in a capture. */
  readonly clientPort: number;
  /** Frame of the capture, 0 when live. */
  readonly frame: number;
}

/** Collects the events that one VM caused. */
export class Evidence {
  /** First alert that blocked, by signature. */
  readonly blocks = new Map<number, Block>();
  readonly reasons = new Set<string>();
  recon: { readonly detection: string; readonly seconds: number } | null = null;
  /** Alerts of any kind; a normal visit has none. */
  alerts = 0;
  readonly #vm: string;

  constructor(vm: string) {
    this.#vm = vm;
  }

  add(line: string): void {
    const e = JSON.parse(line) as EveLine;
    if (e.src_vm !== this.#vm) return;
    if (e.event_type === 'alert' && e.alert !== undefined) {
      this.alerts++;
      const { signature_id: sid, signature: msg, action } = e.alert;
      if (action === 'blocked' && !this.blocks.has(sid)) this.blocks.set(sid, { by: 'IPS', sid, msg, clientPort: e.src_port ?? 0, frame: e.pcap_cnt ?? 0 });
    } else if (e.event_type === 'web' && e.web?.action === 'blocked') {
      const sid = e.web.rule_id ?? 0;
      if (!this.blocks.has(sid)) this.blocks.set(sid, { by: 'web', sid, msg: e.web.reason ?? '', clientPort: e.src_port ?? 0, frame: e.pcap_cnt ?? 0 });
    } else if (e.event_type === 'drop' && e.drop !== undefined) this.reasons.add(e.drop.reason);
    else if (e.event_type === 'recon' && e.recon !== undefined) this.recon ??= { detection: e.recon.detection, seconds: e.recon.blocked_seconds };
  }
}
