/** What the documentation takes from the code is what the code says now. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';

const root = join(import.meta.dirname, '../../../..');

test('generated documentation is up to date', (t) => {
  const r = spawnSync(process.execPath, [join(root, 'scripts/docs.mjs'), '--check'], { encoding: 'utf8' });
  t.is(r.status, 0, r.stderr);
});

/** GitHub's anchor of a heading. */
function slug(heading: string): string {
  return heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-');
}

function anchors(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map((m) => slug(m[1]!.replaceAll(/<[^>]*>/g, '')));
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)"/g)].map((m) => m[1]!)]);
}

const pages = ['README.md', 'CONTRIBUTING.md', ...readdirSync(join(root, 'docs')).map((f) => `docs/${f}`)].filter((f) => f.endsWith('.md') && existsSync(join(root, f)));
/** Written by benchmarks and conformance runs, not part of every checkout. */
const MEASURED = new Set(['docs/benchmarks.md', 'docs/conformance.md']);

for (const page of pages) {
  test(`links of ${page} lead somewhere`, (t) => {
    const text = readFileSync(join(root, page), 'utf8').replaceAll(/^```[\s\S]*?^```$/gm, '');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const path = file === '' ? page : join(dirname(page), file);
      if (MEASURED.has(path)) continue;
      t.true(existsSync(join(root, path)), `${target}: no such file`);
      if (anchor !== undefined) t.true(anchors(readFileSync(join(root, path), 'utf8')).has(anchor), `${target}: no such heading`);
    }
    t.pass();
  });

  test(`files that ${page} names exist`, (t) => {
    const text = readFileSync(join(root, page), 'utf8');
    for (const [, path = ''] of text.matchAll(/`((?:src|test|scripts|examples|native|packages|schema|docs)\/[\w./-]+)`/g)) {
      if (!MEASURED.has(path)) t.true(existsSync(join(root, path)), path);
    }
    t.pass();
  });
}
