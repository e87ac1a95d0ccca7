#!/usr/bin/env node
/**
 * Takes the OWASP Core Rule Set into rules/crs, unchanged: rules, data files, setup and licence of one commit.
 *
 *   node scripts/vendor-crs.mjs CHECKOUT [--commit HASH] [--version TEXT]
 *
 * CHECKOUT is a clone of github.com/coreruleset/coreruleset; commit and version are asked of git unless they are given.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const target = join(dirname(fileURLToPath(import.meta.url)), '../rules/crs');
const [checkout, ...options] = process.argv.slice(2);
if (checkout === undefined || !existsSync(join(checkout, 'rules'))) {
  console.error('usage: vendor-crs.mjs CHECKOUT [--commit HASH] [--version TEXT]');
  process.exit(2);
}

function given(name, ...git) {
  const at = options.indexOf(name);
  if (at >= 0) return options[at + 1];
  const r = spawnSync('git', ['-C', checkout, ...git], { encoding: 'utf8' });
  if (r.status !== 0) throw new Error(`git ${git.join(' ')}: ${r.stderr}`);
  return r.stdout.trim();
}

const commit = given('--commit', 'rev-parse', 'HEAD');
const version = given('--version', 'describe', '--tags');
rmSync(target, { recursive: true, force: true });
mkdirSync(join(target, 'rules'), { recursive: true });
const files = readdirSync(join(checkout, 'rules')).filter((name) => /\.(conf|data)$/.test(name)).sort();
for (const name of files) copyFileSync(join(checkout, 'rules', name), join(target, 'rules', name));
copyFileSync(join(checkout, 'crs-setup.conf.example'), join(target, 'crs-setup.conf'));
copyFileSync(join(checkout, 'LICENSE'), join(target, 'LICENSE'));
writeFileSync(
  join(target, 'README.md'),
  `# OWASP Core Rule Set

Rules, data files and setup of github.com/coreruleset/coreruleset at \`${commit}\` (${version}), unchanged but for the name of
\`crs-setup.conf.example\`. Copyright by the CRS project, Apache License 2.0 (\`LICENSE\`). Taken in by \`scripts/vendor-crs.mjs\`.

This is the set behind \`web: { rule_set: crs }\`. Settings of your own belong into the \`web\` section of the configuration or into
files that it names, not in here: the next version replaces this folder.
`,
);
console.log(`${files.length} files of ${version} (${commit}) in ${target}`);
