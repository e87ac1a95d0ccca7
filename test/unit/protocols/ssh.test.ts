import test from 'ava';
import { createHash } from 'node:crypto';
import { TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { concat, Driver } from './driver.js';

function u32(n: number): Uint8Array {
  return Uint8Array.of(n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255);
}
function packet(type: number, body: Uint8Array): Uint8Array {
  return concat(u32(body.length + 6), Uint8Array.of(4, type), body, new Uint8Array(4));
}
const LISTS = ['kex', 'key', 'enc-cs', 'enc-sc', 'mac-cs', 'mac-sc', 'comp-cs', 'comp-sc', '', ''];
const KEX = packet(20, concat(new Uint8Array(16), ...LISTS.map((l) => concat(u32(l.length), l)), new Uint8Array(5)));
const NEWKEYS = packet(21, new Uint8Array(0));
const CLIENT = concat('SSH-2.0-OpenSSH_9.6 Debian\r\n', KEX, packet(30, new Uint8Array(40)), NEWKEYS, 'encrypted');
const SERVER = concat('welcome\r\nSSH-1.99-dropbear\n', KEX, NEWKEYS, 'encrypted');

test('banner, software and hassh in any cut', (t) => {
  for (const step of [0, 1, 3, 50]) {
    const d = new Driver(2222);
    d.send(TO_SERVER, CLIENT, step);
    d.send(TO_CLIENT, SERVER, step);
    t.is(d.flow.appProto, 'ssh');
    t.is(d.buffer('ssh.proto'), '2.0');
    t.is(d.buffer('ssh.software'), 'OpenSSH_9.6');
    t.is(d.buffer('ssh.proto', TO_CLIENT), '1.99');
    t.is(d.buffer('ssh.software', TO_CLIENT), 'dropbear');
    t.is(d.buffer('ssh.hassh.string'), 'kex;enc-cs;mac-cs;comp-cs');
    t.is(d.buffer('ssh.hassh.server', TO_CLIENT), createHash('md5').update('kex;enc-sc;mac-sc;comp-sc').digest('hex'));
    t.is(d.flow.uninspected, 'encrypted');
    t.like(d.records[0]!.body, { client: { proto_version: '2.0', software_version: 'OpenSSH_9.6' } });
  }
});

test('nonsense behind the banner ends parsing with an event', (t) => {
  const d = new Driver(22);
  d.send(TO_SERVER, 'SSH-2.0-x\r\n');
  d.send(TO_SERVER, 'GET / HTTP/1.1\r\n');
  t.is(d.flow.uninspected, 'parser-error');
  t.true(d.anomalies.includes('ssh.invalid_record'));
  t.is(d.app.stats.parserErrors, 1);
});
