/** The public conformance set, where it is present: a folder per test with a capture, rules and the arguments they need. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface ConformanceCase {
  readonly name: string;
  readonly pcap: string;
  readonly rules: string;
  /** Engine settings of `--set`. */
  readonly set: readonly (readonly [string, string])[];
}

/** Compiled files lie in dist/test/helpers. */
export const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url));

/** @returns the cases, or why there are none */
export function conformanceCases(): readonly ConformanceCase[] | string {
  const dir = join(process.env['DRAWBRIDGE_CONFORMANCE'] ?? join(CHECKOUT, '../shared/conformance'), 'suricata');
  if (!existsSync(dir)) return `no conformance set at ${dir} (set DRAWBRIDGE_CONFORMANCE)`;
  return readdirSync(dir)
    .toSorted()
    .filter((name) => existsSync(join(dir, name, 'input.pcap')))
    .map((name) => {
      const about = JSON.parse(readFileSync(join(dir, name, 'expected.json'), 'utf8')) as { pcap: string; rules: string; args: readonly string[] };
      const set = about.args.flatMap((word, i): [string, string][] => {
        const [key = '', value = ''] = word.split(/=(.*)/s);
        return about.args[i - 1] === '--set' ? [[key, value]] : [];
      });
      return { name, pcap: join(dir, name, about.pcap), rules: join(dir, name, about.rules), set };
    });
}
