import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { webRuleFiles } from '../../../src/appliance/web-rule-files.js';
import { loadRules } from '../../../src/web/index.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../../..');

function webCheck(...files: string[]): { readonly status: number | null; readonly out: string; readonly err: string } {
  const r = spawnSync(process.execPath, [join(root, 'bin/drawbridge'), 'web', 'check', ...files], { encoding: 'utf8' });
  return { status: r.status, out: r.stdout, err: r.stderr };
}

test('the shipped Core Rule Set loads whole', (t) => {
  const crs = join(root, 'rules/crs');
  const rules = readdirSync(join(crs, 'rules')).filter((name) => name.endsWith('.conf'));
  t.true(rules.length > 20);
  const set = loadRules([{ file: join(crs, 'crs-setup.conf') }, { name: join(crs, 'all.conf'), text: 'Include rules/*.conf' }], { files: webRuleFiles });
  t.deepEqual(set.refusals, []);
  t.deepEqual(set.notes, []);
  t.is(set.files.length, rules.length + 1);
  t.true(set.rules.length > 600);
});

test('web check: refusals with their places, exit code', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'web-check-'));
  try {
    const good = join(dir, 'good.conf');
    const bad = join(dir, 'bad.conf');
    writeFileSync(good, 'SecRule ARGS "@contains x" "id:1,phase:2,deny"\nSecTmpDir /tmp\n');
    writeFileSync(bad, 'Include good.conf\nSecRule ARGZ "@contains x" "id:2,phase:2,deny"\n');
    const fine = webCheck(good);
    t.is(fine.status, 0);
    t.regex(fine.out, /^1 rules from 1 files .*0 refused, 1 notes/);
    t.regex(fine.err, /good\.conf:2:1: note: SecTmpDir has no effect/);
    const refused = webCheck(bad);
    t.is(refused.status, 1);
    t.regex(refused.err, /bad\.conf:2:9: SecRule 2 refused: unknown variable 'ARGZ'/);
    t.regex(refused.out, /^1 rules from 2 files/);
    t.regex(webCheck(join(dir, 'none.conf')).err, /none\.conf: .*no such file/i);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
