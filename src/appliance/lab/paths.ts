/** Where the parts of the lab lie in the checkout, whatever folder one stands in. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout: the nearest folder above this file that holds the lab's configuration. */
function findRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'examples/lab.yaml'))) {
    const up = dirname(dir);
    if (up === dir) throw new Error('examples/lab.yaml is missing: the lab needs the whole checkout or image');
    dir = up;
  }
  return dir;
}

const root = findRoot();
export const LAB_CONFIG = join(root, 'examples/lab.yaml');
export const LAB_PCAPS = join(root, 'pcaps');
export const DRAWBRIDGE = join(root, 'bin/drawbridge');
