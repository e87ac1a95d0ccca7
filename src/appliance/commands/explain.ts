/** `drawbridge explain`: one frame, or all frames of a flow, of a capture, and what every stage did with it. */
import { D_FRAME_NO, D_STRIDE } from '../../packet/index.js';
import { DROP_REASONS } from '../../pipeline/index.js';
import { OUTCOME_DROPPED } from '../../vswitch/index.js';
import { EVENT_TYPES } from '../events/eve.js';
import { formatProblem } from '../config/problem.js';
import { configOf } from './replay.js';
import { replaySession, resolveReplay, type ReplayRequest } from '../replay-session.js';
import { Tracer } from '../trace.js';

export interface ExplainOptions extends Omit<ReplayRequest, 'simulateIps' | 'config'> {
  readonly config?: string;
  readonly frame?: number;
  readonly flow?: number;
}

/** @returns 0 when the frame or flow was found */
export async function explain(pcap: string, options: ExplainOptions): Promise<number> {
  if ((options.frame === undefined) === (options.flow === undefined)) {
    process.stderr.write('drawbridge: explain needs either --frame or --flow\n');
    return 2;
  }
  const setup = resolveReplay({ ...options, ...(await configOf(options.config)), simulateIps: true });
  for (const problem of setup.problems) process.stderr.write(`${formatProblem(problem)}\n`);
  for (const wrong of setup.badSettings) process.stderr.write(`drawbridge: ${wrong}\n`);
  if (setup.failed) return 2;
  const lines: string[] = [];
  const session = replaySession(setup, { pcap, types: new Set(EVENT_TYPES), sink: { write: (line) => lines.push(line), flush: () => undefined, close: () => undefined } });
  const tracer = new Tracer();
  session.plane.tracer = tracer;
  const inspect = session.plane.inspect.bind(session.plane);
  let found = 0;
  session.plane.inspect = (view) => {
    tracer.clear();
    lines.length = 0;
    const verdict = inspect(view);
    const wanted = options.frame !== undefined ? view.frameNo === options.frame : view.flowId >= 0 && session.table.eveId(view.flowId) === options.flow;
    if (wanted) {
      found++;
      process.stdout.write(`frame ${view.frameNo}\n`);
      for (const line of tracer.lines.slice(0, -1)) process.stdout.write(`  ${line.stage.padEnd(9)} ${line.text}\n`);
      for (const line of lines) process.stdout.write(`  ${eventWords(line)}\n`);
      const last = tracer.lines.at(-1);
      if (last) process.stdout.write(`  ${last.stage.padEnd(9)} ${last.text}\n`);
    }
    return verdict;
  };
  session.switch.observers.push({
    ingress(batch, row, port, _vlan, outcome, reason) {
      if (found > 0 || options.frame === undefined || batch.desc[row * D_STRIDE + D_FRAME_NO] !== options.frame) return;
      found++;
      const { name, help } = DROP_REASONS[reason]!;
      process.stdout.write(`frame ${options.frame}\n  switch    on port ${session.portName(port)}: ${outcome === OUTCOME_DROPPED ? `is dropped before inspection: ${name} (${help})` : 'passes without inspection'}\n`);
    },
    egress: () => undefined,
  });
  session.drain();
  const total = session.framesRead;
  session.close();
  const cut = session.captureError();
  if (cut !== null) process.stderr.write(`drawbridge: ${cut.message}\n`);
  if (found === 0) {
    process.stderr.write(options.frame !== undefined ? `drawbridge: ${pcap} has ${total} frames, no frame ${options.frame}\n` : `drawbridge: no frame of ${pcap} belongs to flow ${options.flow}\n`);
    return 1;
  }
  return 0;
}

/** An event that the frame caused, in one line. */
function eventWords(line: string): string {
  const e = JSON.parse(line) as { event_type: string; alert?: { gid: number; signature_id: number; signature: string; action: string }; http?: { http_method?: string; url?: string; status?: number }; anomaly?: { event: string }; web?: { action: string; transaction_id: string } };
  if (e.event_type === 'alert' && e.alert) return `ips       signature ${e.alert.gid}:${e.alert.signature_id} "${e.alert.signature}" (${e.alert.action})`;
  if (e.event_type === 'http' && e.http) return `http      ${e.http.http_method ?? '?'} ${e.http.url ?? '?'} -> ${e.http.status ?? 'no answer'}`;
  if (e.event_type === 'web' && e.web) return `web       transaction ${e.web.transaction_id}: ${e.web.action.replace('_', ' ')}`;
  if (e.event_type === 'anomaly' && e.anomaly) return `anomaly   ${e.anomaly.event}`;
  return `${e.event_type.padEnd(9)} event written`;
}
