/** Files: their kinds, names and digests, and FTP's data connections. */
import fc from 'fast-check';
import test from 'ava';
import { TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { AppFile, transactionsOf } from '../../../src/protocols/index.js';
import { fileMagic } from '../../../src/protocols/file-magic.js';
import { concat, Driver } from './driver.js';

function magic(...parts: (string | Uint8Array)[]): string {
  const bytes = concat(...parts);
  return fileMagic(bytes, bytes.length);
}

test('kinds of files in the words of file(1)', (t) => {
  const pe = new Uint8Array(512);
  pe.set(Buffer.from('MZ'));
  pe[60] = 128;
  pe.set(Buffer.from('PE\0\0\x64\x86', 'latin1'), 128);
  pe.set([0x0b, 0x02], 128 + 24);
  pe[128 + 92] = 3;
  t.is(magic(pe), 'PE32+ executable (console) x86-64, for MS Windows');
  pe[128 + 23] = 0x20;
  t.is(magic(pe), 'PE32+ executable (DLL) (console) x86-64, for MS Windows');
  t.is(magic('MZ'), 'MS-DOS executable');
  t.is(magic('%PDF-1.5\n'), 'PDF document, version 1.5');
  t.is(magic('\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0'), 'ELF 64-bit LSB executable, x86-64, version 1 (SYSV)');
  t.is(magic('PK\x03\x04\x14\0\0\0\0\0', new Uint8Array(16), '\x05\0\0\0', 'a.txt'), 'Zip archive data, at least v2.0 to extract');
  t.is(magic('GIF89a\x10\0\x20\0'), 'GIF image data, version 89a, 16 x 32');
  t.is(magic('<!DOCTYPE HTML><p>\n'), 'HTML document, ASCII text');
  t.is(magic('#!/bin/sh\nexit\n'), 'POSIX shell script, ASCII text executable');
  t.is(magic('plain\r\ntext\r\n'), 'ASCII text, with CRLF line terminators');
  t.is(magic('\x00\x01\x02'), 'data');
  t.is(magic(), 'empty');
});

test('fuzz: no bytes make the kind throw', (t) => {
  const heads = ['MZ', '\x7fELF', 'PK\x03\x04', '%PDF-', 'RIFF', 'GIF8', '\xca\xfe\xba\xbe', '#!', '<?xml', 'CWS'];
  fc.assert(fc.property(fc.constantFrom(...heads, ''), fc.uint8Array({ maxLength: 300 }), (head, rest) => magic(head, rest).length > 0), { numRuns: 500 });
  t.pass();
});

test('digests of whole files only', (t) => {
  const content = { buf: Buffer.from('hello'), len: 5, total: 5, complete: false, slice: () => false };
  const file = new AppFile(true, new Uint8Array(0), content);
  t.is(file.digest('md5'), null);
  content.complete = true;
  t.is(Buffer.from(file.digest('md5')!).toString('hex'), '5d41402abc4b2a76b9719d911017c592');
  t.is(file.digest('sha1')!.length, 20);
  content.total = 6;
  t.is(new AppFile(true, new Uint8Array(0), content).digest('sha256'), null);
});

/** A control connection on port 21 and a second connection through the same application layer. */
function dataConnection(control: readonly (readonly [dir: number, line: string])[], opener: 'client' | 'server', port: number, payload: string, dir: number, step: number): Driver {
  const d = new Driver(21);
  aim(d, 0x0a000001, 0x0a000002);
  for (const [from, line] of control) d.send(from, line, step);
  const data = new Driver(port, {}, d.app);
  if (opener === 'client') aim(data, 0x0a000001, 0x0a000002);
  else aim(data, 0x0a000002, 0x0a000001);
  data.send(dir, payload, step);
  return data;
}

function aim(d: Driver, client: number, server: number): void {
  d.client = client;
  d.server = server;
}

test('ftp-data: passive, extended passive, active and extended active transfers', (t) => {
  const greet = [[TO_CLIENT, '220 ftp\r\n']] as const;
  const cases = [
    [[...greet, [TO_SERVER, 'PASV\r\n'], [TO_CLIENT, '227 Entering (10,0,0,2,19,137).\r\n'], [TO_SERVER, 'RETR a.txt\r\n']], 'client', 5001, TO_CLIENT, 1],
    [[...greet, [TO_SERVER, 'EPSV\r\n'], [TO_CLIENT, '229 Entering (|||5001|)\r\n'], [TO_SERVER, 'STOR a.txt\r\n']], 'client', 5001, TO_SERVER, 2],
    [[...greet, [TO_SERVER, 'PORT 10,0,0,1,19,137\r\n'], [TO_CLIENT, '200 ok\r\n'], [TO_SERVER, 'RETR a.txt\r\n']], 'server', 5001, TO_SERVER, 1],
    [[...greet, [TO_SERVER, 'EPRT |1|10.0.0.1|5001|\r\n'], [TO_CLIENT, '200 ok\r\n'], [TO_SERVER, 'STOR a.txt\r\n']], 'server', 5001, TO_CLIENT, 2],
  ] as const;
  for (const [control, opener, port, dir, command] of cases) {
    for (const step of [0, 1]) {
      const d = dataConnection(control, opener, port, 'file content', dir, step);
      t.is(d.flow.appProto, 'ftp-data');
      t.is(transactionsOf(d.flow)[0]!.integer('ftpdata.command', 0), command);
      t.is(d.buffer('file.data', dir), 'file content');
      t.is(d.buffer('file.name', dir), 'a.txt');
      d.close();
      t.is(d.flow.transactions.length, 0);
    }
  }
});

test('ftp-data: another port, another host, or a second connection are not announced', (t) => {
  const control = [[TO_CLIENT, '220 ftp\r\n'], [TO_SERVER, 'PASV\r\n'], [TO_CLIENT, '227 (10,0,0,2,19,137)\r\n'], [TO_SERVER, 'RETR a\r\n']] as const;
  t.not(dataConnection(control, 'client', 5002, 'x', TO_CLIENT, 0).flow.appProto, 'ftp-data');
  t.not(dataConnection(control, 'server', 5001, 'x', TO_CLIENT, 0).flow.appProto, 'ftp-data');
  t.not(dataConnection(control.slice(0, 3), 'client', 5001, 'x', TO_CLIENT, 0).flow.appProto, 'ftp-data');
});

test('ftp: PORT to another host is a bounce', (t) => {
  const bounced: number[] = [];
  const d = new (class extends Driver {
    override look(): void {
      for (const tx of transactionsOf(this.flow)) bounced.push(tx.integer('ftp.bounce', 0));
    }
  })(21);
  aim(d, 0x0a000001, 0x0a000002);
  d.send(TO_CLIENT, '220 ftp\r\n');
  d.send(TO_SERVER, 'PORT 10,0,0,1,1,1\r\n');
  t.false(bounced.includes(1));
  d.send(TO_SERVER, 'PORT 10,0,0,9,1,1\r\n');
  t.true(bounced.includes(1));
});
