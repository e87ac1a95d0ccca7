/** docs/evasion.md says what the catalogue comes to now. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';

test('docs/evasion.md is up to date', (t) => {
  const r = spawnSync(process.execPath, [join(import.meta.dirname, '../../../scripts/evasion-docs.mjs'), '--check'], { encoding: 'utf8' });
  t.is(r.status, 0, r.stderr);
});
