/** The `drawbridge` command as a child process, and its metrics as numbers. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHECKOUT } from './conformance.js';

const PROGRAM = join(CHECKOUT, 'bin/drawbridge');

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Drawbridge {
  stdout = '';
  stderr = '';
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;

  /** @param before words of a command that runs it, e.g. `ip netns exec NAME` */
  constructor(args: readonly string[], before: readonly string[] = []) {
    const [command = process.execPath, ...rest] = [...before, process.execPath, PROGRAM, ...args];
    this.child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout!.setEncoding('utf8').on('data', (s: string) => (this.stdout += s));
    this.child.stderr!.setEncoding('utf8').on('data', (s: string) => (this.stderr += s));
    this.ended = new Promise((settle) => {
      this.child.on('close', (code) => settle({ code, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  /** @throws Error with what it said when it ends, or takes two minutes: pattern databases may have to be compiled first */
  async ready(): Promise<void> {
    const deadline = Date.now() + 120_000;
    while (!this.stdout.includes('READY\n')) {
      if (this.child.exitCode !== null || this.child.signalCode !== null || Date.now() > deadline) throw new Error(`not ready: ${this.stderr}`);
      await sleep(20);
    }
  }

  get metricsUrl(): string {
    return /metrics at (\S+)/.exec(this.stderr)?.[1] ?? '';
  }

  async stop(): Promise<Ended> {
    this.child.kill('SIGTERM');
    return this.ended;
  }
}

/** Run it to its end. */
export async function drawbridge(...args: string[]): Promise<Ended> {
  return new Drawbridge(args).ended;
}

/** A folder with files in it, removed with the test. */
export function folder(t: { teardown(fn: () => void): void }, files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'drawbridge-test-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([^ ]+)$/;

/** Prometheus text format 0.0.4, strictly. @throws Error with the line that is not in it */
export function parseMetrics(text: string): Sample[] {
  if (!text.endsWith('\n')) throw new Error('no end of line at the end');
  const typed = new Set<string>();
  const samples: Sample[] = [];
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    const about = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    if (about?.[1] === 'TYPE') {
      if (typed.has(about[2]!)) throw new Error(`typed twice: ${line}`);
      if (!['counter', 'gauge', 'histogram', 'summary', 'untyped'].includes(about[3]!)) throw new Error(`unknown type: ${line}`);
      typed.add(about[2]!);
    }
    if (about !== null) continue;
    const m = LINE.exec(line);
    const value = m?.[3] === '+Inf' ? Number.POSITIVE_INFINITY : Number(m?.[3]);
    // Prometheus reads numbers as Go does: NaN in any case.
    if (m === null || (Number.isNaN(value) && m[3]!.toLowerCase() !== 'nan')) throw new Error(`no sample: ${line}`);
    const labels = Object.fromEntries([...(m[2] ?? '').matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)].map((l) => [l[1]!, l[2]!]));
    samples.push({ name: m[1]!, labels, value });
  }
  for (const { name } of samples) {
    if (!typed.has(name) && !typed.has(name.replace(/_(bucket|sum|count)$/, ''))) throw new Error(`sample without a type: ${name}`);
  }
  return samples;
}

export function total(samples: readonly Sample[], name: string, labels: Readonly<Record<string, string>> = {}): number {
  return samples.filter((s) => s.name === name && Object.entries(labels).every(([k, v]) => s.labels[k] === v)).reduce((sum, s) => sum + s.value, 0);
}
