import test from 'ava';
import { opening } from '../../../src/vswitch/native.js';

function failing(code: string): () => never {
  return () => {
    throw Object.assign(new Error(`${code}: refused, open 'x'`), { code });
  };
}

test('a refusal of the kernel says what the process lacks', (t) => {
  for (const code of ['EPERM', 'EACCES', 'ENOENT']) {
    const error = t.throws(() => opening('CAP_NET_RAW', failing(code)), { code });
    t.is(error?.message, `${code}: refused, open 'x'; this takes CAP_NET_RAW (docs/deployment.md, Privileges)`);
  }
});

test('other errors and results pass unchanged', (t) => {
  t.is(t.throws(() => opening('CAP_NET_RAW', failing('EBUSY')), { code: 'EBUSY' })?.message, "EBUSY: refused, open 'x'");
  t.is(opening('CAP_NET_RAW', () => 7), 7);
});
