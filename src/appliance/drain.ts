/** Running a session over input that ends. */
import { D_STRIDE, D_TS_SEC } from '../packet/index.js';
import { isDrop } from '../pipeline/index.js';
import type { Session } from './session.js';
import type { Tracer } from './trace.js';

/** Step until every port has ended. @returns frames received */
export function drainSession(session: Session): number {
  let frames = 0;
  for (;;) {
    const n = session.step(0);
    if (n === 0) {
      if (session.ports.ended) return frames;
      continue;
    }
    frames += n;
    session.maintain(session.batch.desc[(n - 1) * D_STRIDE + D_TS_SEC]!);
  }
}

/** Wrap the inspector so that frames with an alert or a drop are told in words. */
export function explainNotable(session: Session, tracer: Tracer, print: (text: string) => void): void {
  const plane = session.plane;
  const inner = plane.inspect.bind(plane);
  let alerts = 0;
  plane.tracer = tracer;
  plane.inspect = (view) => {
    tracer.clear();
    const verdict = inner(view);
    const now = session.eve.alertsAllowed + session.eve.alertsBlocked;
    if (now !== alerts || isDrop(verdict)) {
      print(`frame ${view.frameNo}:`);
      for (const line of tracer.lines) print(`  ${line.stage.padEnd(9)} ${line.text}`);
    }
    alerts = now;
    return verdict;
  };
}
