/** Full garbage collection on request: V8 collects late in a thread that hardly allocates, and a replaced rule set is a hundred MiB. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Takes about a tenth of a second with a large rule set: for moments when no frame is waiting. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  setFlagsFromString('--no-expose-gc');
  collect();
}
