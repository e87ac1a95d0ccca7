/** The two transformations that resolve paths: normalizePath and normalizePathWin. */
import type { ByteString } from '../value.js';
import { transformation } from './transformation.js';

/** Something to resolve: an empty segment, or one of dots alone. */
const TOUCHED = /\/\/|(?:^|\/)\.{1,2}(?:\/|$)/;

/** Resolves . and .. and repeated slashes; an absolute path never leads above its root, a relative one may. */
function normalize(value: ByteString): ByteString {
  if (!TOUCHED.test(value)) return value;
  const absolute = value.startsWith('/');
  const segments = value.split('/');
  const kept: string[] = [];
  for (const segment of segments) {
    if (segment === '' || segment === '.') continue;
    if (segment !== '..') kept.push(segment);
    else if (kept.length > 0 && kept[kept.length - 1] !== '..') kept.pop();
    else if (!absolute) kept.push(segment);
  }
  const path = kept.join('/');
  const closed = path !== '' && value.endsWith('/') ? `${path}/` : path;
  return absolute ? `/${closed}` : closed;
}

export const normalizePath = transformation({
  name: 'normalizePath',
  aliases: ['normalisePath'],
  help: 'Resolves repeated slashes, /./ and /../ of a path.',
  create: () => normalize,
});

export const normalizePathWin = transformation({
  name: 'normalizePathWin',
  aliases: ['normalisePathWin'],
  help: 'As normalizePath, with backslashes as slashes.',
  create: () => (value) => normalize(value.includes('\\') ? value.replaceAll('\\', '/') : value),
});
