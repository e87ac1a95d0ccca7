import test from 'ava';
import { TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { Driver } from './driver.js';

test('commands and replies in any cut', (t) => {
  for (const step of [0, 1, 3, 11]) {
    const d = new Driver(21);
    d.send(TO_CLIENT, '220-hello\r\n220 ready\r\n', step);
    d.send(TO_SERVER, 'USER bob\r\nPASS secret\r\nRETR a b.txt\r\n', step);
    d.send(TO_CLIENT, '331 password\r\n230 in\r\n150 opening\r\n226 done\r\n', step);
    t.is(d.flow.appProto, 'ftp');
    t.is(d.buffer('ftp.command', TO_SERVER, 3), 'RETR');
    t.is(d.buffer('ftp.command_data', TO_SERVER, 3), 'a b.txt');
    t.is(d.buffer('ftp.reply', TO_CLIENT, 3, 1), '226 done');
    t.deepEqual(d.records.map((r) => r.body['completion_code']), [['220', '220'], ['331'], ['230'], ['150', '226']]);
    t.false(JSON.stringify(d.records).includes('secret'));
    t.is(d.flow.transactions.length, 0);
  }
});

test('AUTH TLS: detection starts again', (t) => {
  const d = new Driver(21);
  d.send(TO_CLIENT, '220 ready\r\n');
  d.send(TO_SERVER, 'AUTH TLS\r\n');
  d.send(TO_CLIENT, '234 go\r\n');
  d.send(TO_SERVER, Uint8Array.of(22, 3, 1, 0, 4, 1, 0, 0, 0));
  t.is(d.flow.appProto, 'tls');
});

test('a greeting on another port is told from SMTP by its words', (t) => {
  const ftp = new Driver(2121);
  ftp.send(TO_CLIENT, '220 (vsFTPd 3.0)\r\n');
  t.is(ftp.flow.appProto, 'ftp');
  const mail = new Driver(2121);
  mail.send(TO_CLIENT, '220 host ESMTP\r\n');
  t.is(mail.flow.appProto, 'smtp');
});
