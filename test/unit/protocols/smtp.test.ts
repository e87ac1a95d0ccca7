import test from 'ava';
import { TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { Driver } from './driver.js';

const BINARY = Buffer.from('MZ\x90\0 this program\r\n.cannot be run\r\n', 'latin1');
const MAIL = [
  'From: a@example.org',
  'Content-Type: multipart/mixed;',
  ' boundary="outer"',
  '',
  'preamble',
  '--outer',
  'Content-Type: text/plain',
  '',
  'hello',
  '--outer',
  'Content-Type: application/octet-stream; name="ignored.bin"',
  'Content-Transfer-Encoding: base64',
  'Content-Disposition: attachment;',
  ' filename="a b.exe"',
  '',
  ...(BINARY.toString('base64').match(/.{1,20}/g) ?? []),
  '--outer',
  'Content-Type: text/plain; name=note.txt',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  'caf=E9 =3D so=',
  'ft',
  'end',
  '--outer',
  'Content-Type: message/rfc822',
  '',
  'Subject: inner',
  'Content-Type: text/csv; name="inner.csv"',
  '',
  '..dotted',
  '1,2',
  '--outer--',
  'epilogue',
  '.',
  '',
].join('\r\n');
const SESSION = `EHLO client.example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n${MAIL}QUIT\r\n`;
const REPLIES = '220 mail ESMTP\r\n250-mail\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n221 bye\r\n';

test('commands, attachments and the log record in any cut', (t) => {
  for (const step of [0, 1, 2, 7, 61]) {
    const d = new Driver(2525);
    d.send(TO_CLIENT, REPLIES.slice(0, 16), step);
    d.send(TO_SERVER, SESSION, step);
    d.send(TO_CLIENT, REPLIES.slice(16), step);
    t.is(d.flow.appProto, 'smtp');
    t.is(d.buffer('smtp.helo'), 'client.example.org');
    t.is(d.buffer('smtp.mail_from'), '<a@example.org>');
    t.is(d.buffer('smtp.rcpt_to', TO_SERVER, 0, 1), '<c@example.org>');
    t.is(d.buffer('file.name'), 'a b.exe');
    t.is(d.buffer('file.data'), BINARY.toString('latin1'));
    t.is(d.buffer('file.name', TO_SERVER, 0, 1), 'note.txt');
    t.is(d.buffer('file.data', TO_SERVER, 0, 1), 'caf\xe9 = soft\r\nend');
    t.is(d.buffer('file.name', TO_SERVER, 0, 2), 'inner.csv');
    t.is(d.buffer('file.data', TO_SERVER, 0, 2), '.dotted\r\n1,2');
    t.like(d.records[0]!.body, { helo: 'client.example.org', mail_from: '<a@example.org>', rcpt_to: ['<b@example.org>', '<c@example.org>'] });
    t.deepEqual([...d.txEvents], []);
  }
});

test('BDAT chunks', (t) => {
  const mail = MAIL.slice(0, -3).replace('..dotted', '.dotted');
  for (const step of [0, 1, 9]) {
    const d = new Driver(25);
    d.send(TO_CLIENT, '220 mail\r\n');
    d.send(TO_SERVER, `EHLO c\r\nMAIL FROM:<a>\r\nBDAT 300\r\n${mail.slice(0, 300)}BDAT ${mail.length - 300} LAST\r\n${mail.slice(300)}QUIT\r\n`, step);
    t.is(d.buffer('file.data'), BINARY.toString('latin1'));
    t.is(d.buffer('file.data', TO_SERVER, 0, 2), '.dotted\r\n1,2');
  }
});

test('STARTTLS: what follows is detected again', (t) => {
  const d = new Driver(25);
  d.send(TO_CLIENT, '220 mail ESMTP\r\n');
  d.send(TO_SERVER, 'EHLO c\r\n');
  d.send(TO_CLIENT, '250 STARTTLS\r\n');
  d.send(TO_SERVER, 'STARTTLS\r\n');
  d.send(TO_CLIENT, '220 go\r\n');
  t.is(d.flow.app, 0);
  d.send(TO_SERVER, Uint8Array.of(22, 3, 1, 0, 4, 1, 0, 0, 0));
  t.is(d.flow.appProto, 'tls');
});

test('events', (t) => {
  const d = new Driver(25);
  d.send(TO_SERVER, `EHLO c\r\nMAIL FROM:<${'a'.repeat(600)}>\r\nDATA\r\n`);
  d.send(TO_CLIENT, '250 a\r\n250 b\r\n503 no\r\n');
  t.deepEqual([...d.txEvents].sort(), ['smtp.data_command_rejected', 'smtp.max_command_line_len_exceeded', 'smtp.no_server_welcome_message']);
});
