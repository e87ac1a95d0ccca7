#!/usr/bin/env node
/**
 * Writes what the documentation takes from the code: the parts of docs/*.md between
 *   <!-- generated:NAME ARGUMENT --> and <!-- /generated -->
 * and the published JSON Schema. Prose outside the marks is written by hand. Needs a build (dist/).
 *   node scripts/docs.mjs            write
 *   node scripts/docs.mjs --check    exit 1 when a file is not what would be written
 * The keyword reference docs/rules.md is written by scripts/keyword-docs.mjs, which is run along.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as generators from './docs/generators.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const check = process.argv.includes('--check');
const stale = [];

const BLOCK = /<!-- generated:([a-z-]+)(?: ([^\n]*?))? -->\n[\s\S]*?<!-- \/generated -->/g;

/** @returns the text with every generated block renewed, and the blocks it has as "name argument" */
async function renew(text, file) {
  const blocks = [...text.matchAll(BLOCK)];
  const starts = text.match(/<!-- generated:/g)?.length ?? 0;
  if (starts !== blocks.length) throw new Error(`${file}: ${starts} generated blocks begin, ${blocks.length} are closed by <!-- /generated -->`);
  let out = '';
  let at = 0;
  for (const block of blocks) {
    const [whole, name, argument = ''] = block;
    const generate = generators.BLOCKS[name];
    if (generate === undefined) throw new Error(`${file}: no generator "${name}" (known: ${Object.keys(generators.BLOCKS).join(', ')})`);
    const opening = whole.slice(0, whole.indexOf('\n') + 1);
    out += `${text.slice(at, block.index)}${opening}${(await generate(argument)).trimEnd()}\n<!-- /generated -->`;
    at = block.index + whole.length;
  }
  return { text: out + text.slice(at), blocks: blocks.map((b) => `${b[1]} ${b[2] ?? ''}`.trim()) };
}

function put(file, text) {
  const path = join(root, file);
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
  stale.push(file);
  if (check) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

const seen = new Set();
for (const name of readdirSync(join(root, 'docs')).filter((f) => f.endsWith('.md')).toSorted()) {
  const file = `docs/${name}`;
  const { text, blocks } = await renew(readFileSync(join(root, file), 'utf8'), file);
  for (const block of blocks) seen.add(block);
  put(file, text);
}
// A block with a longer argument ("event drop reason=x") documents what the shorter one names.
const missing = (await generators.requiredBlocks()).filter((block) => ![...seen].some((s) => s === block || s.startsWith(`${block} `)));
if (missing.length > 0) throw new Error(`no page of docs/ has these blocks: ${missing.map((b) => `<!-- generated:${b} -->`).join(', ')}`);
for (const [file, make] of Object.entries(generators.FILES)) put(file, await make());

const keywords = spawnSync(process.execPath, [join(root, 'scripts/keyword-docs.mjs'), ...process.argv.slice(2)], { stdio: 'inherit' });
if (check && stale.length > 0) console.error(`out of date, run node scripts/docs.mjs: ${stale.join(', ')}`);
else if (stale.length > 0) console.log(`docs: wrote ${stale.join(', ')}`);
process.exit(keywords.status !== 0 || (check && stale.length > 0) ? 1 : 0);
