/** Parts of the driver that compute something, compiled with sanitizers and asked through a pipe; once without SHA instructions. */
import { spawnSync } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import fc from 'fast-check';
import * as limits from '../../../src/file-events/index.js';

const guest = fileURLToPath(new URL('../../../../guest', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'drawbridge-guest-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

function build(name: string, ...flags: string[]): string {
  const program = join(folder, name);
  const sources = ['tests/parts.c', 'sha256.c', 'filters.c'].map((f) => join(guest, f));
  const made = spawnSync('gcc', ['-std=c11', '-D_GNU_SOURCE', '-O1', '-Wall', '-Wextra', '-Werror', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', ...flags, ...sources, '-o', program], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(made.stderr);
  return program;
}

function ask(program: string, questions: readonly string[]): string[] {
  const r = spawnSync(program, { input: questions.map((q) => `${q}\n`).join(''), encoding: 'utf8', env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' } });
  if (r.status !== 0) throw new Error(r.stderr);
  return r.stdout.trimEnd().split('\n');
}

const programs = [build('parts'), build('parts-plain', '-DNO_SHA_INSTRUCTIONS')];

test('SHA-256 and HMAC are those of OpenSSL, with and without SHA instructions', (t) => {
  const sizes = [0, 1, 3, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 1000, 4096, 65_537, 300_001];
  const bytes = (size: number, seed: number): Buffer => Buffer.from(Uint8Array.from({ length: size }, (_, i) => i * 7 + seed));
  const wanted = sizes.map((size, i) => createHash('sha256').update(bytes(size, i)).digest('hex'));
  const keys = ['k', 'x'.repeat(63), 'y'.repeat(64), 'z'.repeat(65), 'w'.repeat(200)];
  for (const program of programs) {
    t.deepEqual(ask(program, sizes.map((size, i) => `sha ${size} ${i}`)), wanted);
    t.deepEqual(ask(program, keys.map((key) => `hmac ${key} message`)), keys.map((key) => createHmac('sha256', key).update('message').digest('hex')));
  }
});

/** The obvious way: as a regular expression. */
function matches(pattern: string, path: string): boolean {
  const source = pattern.replaceAll(/\*\*|\*|\?|[.\\[\]^$+(){}|]/g, (s) => (s === '**' ? '.*' : s === '*' ? '[^/]*' : s === '?' ? '[^/]' : `\\${s}`));
  return new RegExp(`^${source}$`, 's').test(path);
}

test('patterns: against regular expressions', (t) => {
  const fixed: [string, string][] = [
    ['/srv/**/*.log', '/srv/a/b/c.log'], ['/srv/**/*.log', '/srv/c.log'], ['/srv/*.log', '/srv/a/c.log'], ['/a?c', '/abc'], ['/a?c', '/a/c'], ['**', '/x/y'],
    ['/**/a/*b', '/a/x/a/yb'], ['/*/*', '/a'], ['/a*', '/a'], ['/a**', '/a/b'], ['*', ''.padEnd(1, 'x')],
  ];
  const cases = fc.sample(fc.tuple(fc.stringMatching(/^\/[ab/?*]{1,9}$/), fc.stringMatching(/^\/[ab/]{1,12}$/)), 3000);
  const all = [...fixed, ...cases];
  const got = ask(programs[0]!, all.map(([pattern, path]) => `match ${pattern} ${path}`));
  const wrong = all.filter(([pattern, path], i) => got[i] !== (matches(pattern, path) ? '1' : '0'));
  t.deepEqual(wrong, []);
  t.true(got.includes('1') && got.includes('0'));
});

test('a pattern made to be slow is not', (t) => {
  const pattern = `/${'*a'.repeat(200)}**${'?*b'.repeat(200)}`;
  t.deepEqual(ask(programs[0]!, [`match ${pattern} /${'a'.repeat(3000)}`]), ['0']);
});

test('types by the first bytes', (t) => {
  const hex = (text: string): string => `type ${Buffer.from(text, 'latin1').toString('hex')}`;
  t.deepEqual(ask(programs[0]!, ['\x7fELF\x02', '#!/bin/sh', 'MZ\x90', 'PK\x03\x04', '%PDF-1.7', '\x1f\x8b', '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', '\x7fEL', 'hello'].map(hex)), ['elf', 'script', 'pe', 'zip', 'pdf', 'gzip', 'ole', 'other', 'other']);
});

test('the driver and the appliance have the same numbers', (t) => {
  const constants: Readonly<Record<string, unknown>> = limits;
  const names: [string, string, number][] = [
    ...Object.entries(limits.MessageType).map(([name, value]): [string, string, number] => ['MessageType', `M_${name}`, value]),
    ...Object.entries(limits.EventKind).map(([name, value]): [string, string, number] => ['EventKind', `EVENT_${name}`, value]),
    ...Object.entries(limits.ChangeKind).map(([name, value]): [string, string, number] => ['ChangeKind', `CHANGE_${name}`, value]),
    ...Object.entries(limits.FileVerdict).map(([name, value]): [string, string, number] => ['FileVerdict', `VERDICT_${name}`, value]),
    ...Object.entries(limits.FailurePolicy).map(([name, value]): [string, string, number] => ['FailurePolicy', `FAIL_${name}`, value]),
    ...Object.entries(limits.MarkScope).map(([name, value]): [string, string, number] => ['MarkScope', `SCOPE_${name}`, value]),
    ...Object.entries(limits.EventMask).map(([name, value]): [string, string, number] => ['EventMask', `MASK_${name}`, value]),
    ...Object.entries(limits.Capability).filter(([name]) => name !== 'PROBE').map(([name, value]): [string, string, number] => ['Capability', `CAP_${name}`, value]),
    ...(['HEADER_BYTES', 'MAX_FRAME', 'MAX_CHUNK', 'MAX_PATH', 'MAX_NAME', 'MAX_VM_NAME', 'MAX_TOKEN', 'MAX_MOUNTS', 'MAX_FILTERS', 'MAX_OUTSTANDING', 'MAX_FOLLOWS', 'MAX_LISTS', 'MAX_OPEN_FILES', 'STREAM_WINDOW', 'IDENTITY_BYTES', 'SHA256_BYTES'] as const).map((name): [string, string, number] => ['limit', name, constants[name] as number]),
    ['magic', 'PROTO_MAGIC', limits.MAGIC],
    ['version', 'PROTO_VERSION', limits.VERSION],
    ['filter', 'FILTER_PATH', limits.FilterKind.EXCLUDE_PATH],
    ['filter', 'FILTER_PATTERN', limits.FilterKind.EXCLUDE_PATTERN],
    ['filter', 'FILTER_PROCESS', limits.FilterKind.EXCLUDE_PROCESS],
    ['filter', 'FILTER_USER', limits.FilterKind.EXCLUDE_USER],
    ['filter', 'FILTER_TYPE', limits.FilterKind.ONLY_TYPE],
  ];
  const checks = names.map(([what, name, value]) => `_Static_assert(${name} == ${value}, "${what} ${name}");`).join('\n');
  const r = spawnSync('gcc', ['-std=c11', '-fsyntax-only', '-x', 'c', '-I', guest, '-'], { input: `#include "protocol.h"\n${checks}\n`, encoding: 'utf8' });
  t.is(r.status, 0, r.stderr);
});
