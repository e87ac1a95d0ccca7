/** Worker thread of the `yara-x` engine: compiles rules once, scans what it is sent. The WebAssembly module never yields. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { Compiler, initSync, type Scanner } from '@virustotal/yara-x';

export interface YaraWorkerData {
  /** Rule text with the file it came from. */
  readonly sources: readonly { readonly file: string; readonly text: string }[];
  readonly timeoutMs: number;
}

export interface YaraRequest {
  readonly id: number;
  readonly bytes: Uint8Array;
}

export type YaraAnswer = { readonly ready: true } | { readonly error: string } | { readonly id: number; readonly rules: readonly string[]; readonly complete: boolean; readonly problem: string };

/** The part of the scanner's answer that is used; the package types it as unknown. */
interface YaraResult {
  readonly valid: boolean;
  readonly errors: readonly unknown[];
  readonly matches: readonly { readonly identifier: string; readonly isPrivate: boolean }[];
}

function compile(data: YaraWorkerData): Scanner {
  const require = createRequire(import.meta.url);
  const folder = dirname(require.resolve('@virustotal/yara-x/package.json'));
  initSync({ module: readFileSync(join(folder, 'pkg/yara_x_js_bg.wasm')) });
  const compiler = new Compiler();
  for (const { file, text } of data.sources) {
    try {
      compiler.addSource(text);
    } catch (error) {
      throw new Error(`${file}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const scanner = compiler.build().scanner();
  scanner.setTimeoutMs(data.timeoutMs);
  scanner.setMaxMatchesPerPattern(8);
  return scanner;
}

const port = parentPort;
if (port !== null) {
  const answer = (message: YaraAnswer): void => port.postMessage(message);
  try {
    const scanner = compile(workerData as YaraWorkerData);
    port.on('message', ({ id, bytes }: YaraRequest) => {
      try {
        const result = scanner.scan(bytes) as YaraResult;
        answer({ id, rules: result.matches.filter((m) => !m.isPrivate).map((m) => m.identifier), complete: result.valid && result.errors.length === 0, problem: result.errors.map(String).join('; ') });
      } catch (error) {
        answer({ id, rules: [], complete: false, problem: error instanceof Error ? error.message : String(error) });
      }
    });
    answer({ ready: true });
  } catch (error) {
    answer({ error: error instanceof Error ? error.message : String(error) });
  }
}
