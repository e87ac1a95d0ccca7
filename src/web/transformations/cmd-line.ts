import { toScratch, type ByteString } from '../value.js';
import { transformation } from './transformation.js';

const REMOVE = 1;
const BLANK = 2;
/** A blank before it disappears. */
const PULL = 3;

const CLASS = new Uint8Array(256);
for (const c of '"\'\\^') CLASS[c.charCodeAt(0)] = REMOVE;
for (const c of ' ,;\t\r\n') CLASS[c.charCodeAt(0)] = BLANK;
for (const c of '/(') CLASS[c.charCodeAt(0)] = PULL;

const TOUCHED = /["'\\^ ,;\t\r\n/(A-Z]/;

function normalise(value: ByteString): ByteString {
  if (!TOUCHED.test(value)) return value;
  const end = value.length;
  const buf = toScratch(value);
  let out = 0;
  let blank = false;
  let changed = false;
  for (let i = 0; i < end; i++) {
    const c = buf[i]!;
    const kind = CLASS[c]!;
    if (kind === REMOVE) continue;
    if (kind === BLANK) {
      if (!blank) {
        changed ||= c !== 0x20;
        buf[out++] = 0x20;
      }
      blank = true;
      continue;
    }
    if (kind === PULL && blank) out--;
    blank = false;
    const isUpper = c >= 0x41 && c <= 0x5a;
    changed ||= isUpper;
    buf[out++] = isUpper ? c + 0x20 : c;
  }
  return out === end && !changed ? value : buf.toString('latin1', 0, out);
}

export const cmdLine = transformation({
  name: 'cmdLine',
  aliases: ['cmd_line'],
  help: 'Undo what hides shell commands: drop \\ " \' ^, make , ; and white space one blank, none before / and (, lower case.',
  create: () => normalise,
});
