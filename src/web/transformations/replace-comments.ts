import type { ByteString } from '../value.js';
import { transformation } from './transformation.js';

function replace(value: ByteString): ByteString {
  let open = value.indexOf('/*');
  if (open < 0) return value;
  let out = '';
  let from = 0;
  while (open >= 0) {
    out += `${value.slice(from, open)} `;
    const close = value.indexOf('*/', open + 2);
    if (close < 0) return out;
    from = close + 2;
    open = value.indexOf('/*', from);
  }
  return out + value.slice(from);
}

export const replaceComments = transformation({
  name: 'replaceComments',
  help: 'Comments of C and SQL to one blank each; an unfinished one reaches to the end.',
  create: () => replace,
});
