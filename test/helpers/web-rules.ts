/** Rules from text, requests from a few words: for tests of the web engine. */
import { WebEngine, loadRules, type Intervention, type RuleFiles, type RuleSet, type WebEngineOptions, type WebPolicy, type WebReport } from '../../src/web/index.js';

/** Files that exist only here. `find` knows exact names and `*`. */
export function memoryFiles(files: Readonly<Record<string, string>> = {}): RuleFiles {
  const relative = (name: string, from: string): string => (name.startsWith('/') ? name : `${from.slice(0, from.lastIndexOf('/') + 1)}${name}`);
  return {
    read(path) {
      const text = files[path];
      if (text === undefined) throw new Error('no such file');
      return Buffer.from(text, 'latin1');
    },
    find(pattern, from) {
      const full = relative(pattern, from);
      const [head = '', tail = ''] = full.split('*');
      if (!full.includes('*')) return full in files ? [full] : [];
      return Object.keys(files).filter((name) => name.startsWith(head) && name.endsWith(tail)).toSorted();
    },
  };
}

export function load(text: string, files?: Readonly<Record<string, string>>): RuleSet {
  return loadRules([{ name: '/test.conf', text }], { files: memoryFiles(files) });
}

/** @throws when a line is refused: the rules of a test are meant to be right */
export function engineOf(text: string, options: Partial<WebEngineOptions> & { readonly detect?: boolean } = {}): WebEngine {
  const settings = `SecRuleEngine ${options.detect === true ? 'DetectionOnly' : 'On'}\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n`;
  const engine = WebEngine.compile([{ name: '/settings.conf', text: settings }, { name: '/test.conf', text }], { files: memoryFiles(), clock: () => 1_700_000_000_000, ...options });
  const [refusal] = engine.ruleSet.refusals;
  if (refusal !== undefined) throw new Error(`${refusal.position.line}:${refusal.position.column} ${refusal.reason}`);
  return engine;
}

export interface TestExchange {
  readonly method?: string;
  readonly target?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly status?: number;
  readonly responseHeaders?: Readonly<Record<string, string>>;
  readonly responseBody?: string;
  readonly policy?: WebPolicy;
  readonly client?: string;
}

export interface TestVerdict {
  readonly report: WebReport;
  readonly intervention: Intervention | null;
  /** Ids of the reported matches in order. */
  readonly ids: readonly number[];
}

function fields(headers: Readonly<Record<string, string>>): string[] {
  return Object.entries(headers).flat();
}

/** One exchange from head to log, ended by the first intervention. */
export function exchange(engine: WebEngine, e: TestExchange = {}): TestVerdict {
  const tx = engine.transaction({ clientAddress: e.client ?? '192.0.2.1', clientPort: 40_000, serverAddress: '192.0.2.2', serverPort: 80 }, 'test-id', e.policy);
  const method = e.method ?? (e.body === undefined ? 'GET' : 'POST');
  const target = e.target ?? '/';
  let decided = tx.requestHeaders({ line: `${method} ${target} HTTP/1.1`, method, target, protocol: 'HTTP/1.1', fields: fields({ Host: 'www.example.org', ...e.headers }) });
  const body = Buffer.from(e.body ?? '', 'latin1');
  // in two pieces: what the wire does with long bodies
  const half = body.length >> 1;
  if (decided === null && half > 0) decided = tx.requestBody(body, 0, half);
  if (decided === null && body.length > half) decided = tx.requestBody(body, half, body.length - half);
  decided ??= tx.endRequestBody();
  const status = e.status ?? 200;
  decided ??= tx.responseHeaders({ line: `HTTP/1.1 ${status} OK`, protocol: 'HTTP/1.1', status, reason: 'OK', fields: fields({ 'Content-Type': 'text/html', ...e.responseHeaders }) });
  const answer = Buffer.from(e.responseBody ?? '', 'latin1');
  if (decided === null && answer.length > 0) decided = tx.responseBody(answer, 0, answer.length);
  decided ??= tx.endResponseBody();
  const report = tx.logging();
  return { report, intervention: decided, ids: report.matches.map((m) => m.id) };
}

/** Headers of a form. */
export const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
