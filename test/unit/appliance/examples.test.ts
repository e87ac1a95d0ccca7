/** Every configuration that the repository shows must load: the files of examples/, and the YAML blocks of the documentation. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Document, parseDocument } from 'yaml';
import { compileFirewall } from '../../../src/appliance/build.js';
import { formatProblem } from '../../../src/appliance/config/problem.js';
import { parseConfig } from '../../../src/appliance/config/load.js';

const root = join(import.meta.dirname, '../../../..');

/** What loading the text complains about, warnings included. */
function complaints(file: string, text: string): string[] {
  const loaded = parseConfig(file, text);
  const firewall = loaded.config === undefined ? [] : compileFirewall(loaded.config, loaded.yaml).problems;
  return [...loaded.problems, ...firewall].map(formatProblem);
}

for (const name of readdirSync(join(root, 'examples')).filter((f) => f.endsWith('.yaml'))) {
  test(`examples/${name} loads without a complaint`, (t) => {
    const file = join(root, 'examples', name);
    // The container image has the repository in /opt/drawbridge.
    const text = readFileSync(file, 'utf8').replaceAll('/opt/drawbridge', root);
    const wrong = complaints(file, text);
    // A checkout without the shipped rules can only be told so.
    t.deepEqual(existsSync(join(root, 'rules')) ? wrong : wrong.filter((line) => !line.endsWith(`no such file or directory: ${join(root, 'rules')}`)), []);
  });
}

/** Blocks show one section; what a whole file needs beside it is added. Rule files they name need not exist. */
function completed(block: string): string {
  const doc = parseDocument(block) as Document;
  if (!doc.has('ports')) doc.set('ports', [{ name: 'p', type: 'tap', device: 'db-p' }]);
  if (doc.has('ips')) doc.deleteIn(['ips', 'rules']);
  if (doc.has('web')) for (const list of ['rules_before', 'rules']) doc.deleteIn(['web', list]);
  return String(doc);
}

/** Compose files and Prometheus rules: at least YAML. */
function syntax(block: string): string[] {
  return parseDocument(block).errors.map((e) => e.message);
}

for (const name of readdirSync(join(root, 'docs')).filter((f) => f.endsWith('.md'))) {
  const text = readFileSync(join(root, 'docs', name), 'utf8');
  test(`docs/${name}, other YAML`, (t) => {
    for (const [, block] of text.matchAll(/^```yaml \w+\n([\s\S]*?)^```$/gm)) t.deepEqual(syntax(block!), []);
    t.pass();
  });
  const blocks = [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((m) => m[1]!);
  blocks.forEach((block, i) => {
    test(`docs/${name}, configuration block ${i + 1}`, (t) => {
      const wrong = complaints(join(root, 'docs', name), completed(block)).filter((line) => !/no port belongs to VM/.test(line));
      t.deepEqual(wrong, []);
    });
  });
}
