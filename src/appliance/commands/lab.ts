/** `drawbridge lab`, the job of `npm start`: attack three small VMs and show what was stopped. */
import { liveLab, liveRefusal } from '../lab/live.js';
import { replayedLab } from '../lab/replayed.js';

export interface LabOptions {
  readonly once: boolean;
  readonly replay: boolean;
  readonly metrics?: string;
}

/** @returns 0 when every attack was stopped and normal traffic was not, else 1 */
export async function lab(options: LabOptions): Promise<number> {
  const why = options.replay ? 'as asked for by --replay' : liveRefusal();
  if (why !== undefined) return replayedLab(why);
  // Nobody watches a pipe, so there nobody would press Ctrl-C.
  return liveLab({ stay: !options.once && process.stdout.isTTY, ...(options.metrics === undefined ? {} : { metrics: options.metrics }) });
}
