#!/usr/bin/env node
/**
 * Makes the captures in pcaps/ from rules/cases/*.yaml and the lab's story. Needs a build (npm run build).
 *
 *   node scripts/make-pcaps.mjs           write them; captures that belong to no case any more are removed
 *   node scripts/make-pcaps.mjs --check   compare with what is there, print each difference, exit 1 if there is any
 */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readCases } from './pcaps/case-files.mjs';
import { labCaptures } from './pcaps/lab.mjs';
import { playScenario } from './pcaps/scenario.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'pcaps');

/** File name -> capture, for everything that belongs into the folder. */
function allCaptures() {
  const captures = labCaptures();
  for (const entry of readCases(join(root, 'rules', 'cases'))) {
    for (const [key, name] of [['attack', 'attack'], ['near_miss', 'near-miss']]) {
      try {
        captures.set(`${entry.sid}-${name}.pcap`, playScenario(entry[key]));
      } catch (error) {
        throw new Error(`${entry.file}: sid ${entry.sid}: ${key}: ${error.message}`, { cause: error });
      }
    }
  }
  return captures;
}

function committed() {
  return readdirSync(folder).filter((name) => name.endsWith('.pcap'));
}

function write(captures) {
  mkdirSync(folder, { recursive: true });
  for (const name of committed()) if (!captures.has(name)) rmSync(join(folder, name));
  for (const [name, capture] of captures) capture.save(join(folder, name));
  console.log(`${captures.size} captures in pcaps/`);
}

function check(captures) {
  const findings = committed().filter((name) => !captures.has(name)).map((name) => `${name}: belongs to no case`);
  const present = new Set(committed());
  const scratch = mkdtempSync(join(tmpdir(), 'drawbridge-pcaps-'));
  try {
    for (const [name, capture] of captures) {
      if (!present.has(name)) {
        findings.push(`${name}: missing`);
        continue;
      }
      const made = join(scratch, name);
      capture.save(made);
      if (!readFileSync(made).equals(readFileSync(join(folder, name)))) findings.push(`${name}: differs`);
    }
  } finally {
    rmSync(scratch, { recursive: true });
  }
  if (findings.length > 0) {
    console.error(`${findings.join('\n')}\nrun node scripts/make-pcaps.mjs and commit the result`);
    process.exitCode = 1;
    return;
  }
  console.log(`${captures.size} captures in pcaps/ are as generated`);
}

try {
  const captures = allCaptures();
  if (process.argv.includes('--check')) check(captures);
  else write(captures);
} catch (error) {
  console.error(`make-pcaps: ${error.message}`);
  process.exitCode = 1;
}
