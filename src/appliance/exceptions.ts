/**
 * Exception policies (Suricata: exception-policy): what happens to traffic that an engine could not follow. One action per
 * point, `default` for those without one. AUTO is what the point does by itself: drop what cannot be judged where the appliance
 * enforces, pass it where it only watches.
 */
import { S_BYPASS, S_DROPPED, type FlowTable } from '../flow/index.js';
import type { PacketView } from '../packet/index.js';
import { Verdict } from '../pipeline/index.js';

export const ExceptionAction = { AUTO: 0, IGNORE: 1, PASS_PACKET: 2, PASS_FLOW: 3, DROP_PACKET: 4, DROP_FLOW: 5, REJECT: 6 } as const;
export type ExceptionAction = (typeof ExceptionAction)[keyof typeof ExceptionAction];

/** Suricata's words. `reject` and `rejectboth` both answer TCP at both ends. */
const ACTIONS: Readonly<Record<string, ExceptionAction>> = {
  auto: ExceptionAction.AUTO,
  ignore: ExceptionAction.IGNORE,
  'pass-packet': ExceptionAction.PASS_PACKET,
  'pass-flow': ExceptionAction.PASS_FLOW,
  bypass: ExceptionAction.PASS_FLOW,
  'drop-packet': ExceptionAction.DROP_PACKET,
  'drop-flow': ExceptionAction.DROP_FLOW,
  reject: ExceptionAction.REJECT,
  rejectboth: ExceptionAction.REJECT,
};
export const EXCEPTION_WORDS: readonly string[] = Object.keys(ACTIONS);
/** For points that have no flow to act on. */
export const PACKET_EXCEPTION_WORDS: readonly string[] = EXCEPTION_WORDS.filter((w) => !w.includes('flow') && w !== 'bypass');

/** Points, with what they are about. Flow and defragmentation can only act on the packet: there is no flow. */
export const EXCEPTION_POINTS = {
  flow_memcap: 'The flow table is full and nothing could be evicted, or the VM has used up its share.',
  defrag_memcap: 'No memory for another fragment, or the VM has used up its share.',
  stream_memcap: 'No memory to reassemble the stream, or no object to inspect the flow with.',
  midstream: 'TCP connections whose beginning was not seen (with `stream.midstream`, or where strictness is off).',
  app_layer_error: 'A protocol parser gave up on the flow.',
} as const;
export type ExceptionPoint = keyof typeof EXCEPTION_POINTS;
export const PACKET_POINTS: readonly string[] = ['flow_memcap', 'defrag_memcap'];

/** As written: word by point; `default` for the others. */
export type ExceptionSettings = Readonly<Partial<Record<ExceptionPoint | 'default', string>>>;
export type Exceptions = Readonly<Record<ExceptionPoint, ExceptionAction>>;

/** Points that are not named take the default; where that has no sense (a flow action without flow), it acts on the packet. */
export function exceptionsOf(settings: ExceptionSettings): Exceptions {
  const entries = (Object.keys(EXCEPTION_POINTS) as ExceptionPoint[]).map((point) => {
    const action = ACTIONS[settings[point] ?? settings.default ?? 'auto'] ?? ExceptionAction.AUTO;
    return [point, PACKET_POINTS.includes(point) ? onPacket(action) : action];
  });
  return Object.fromEntries(entries) as Exceptions;
}

function onPacket(action: ExceptionAction): ExceptionAction {
  if (action === ExceptionAction.DROP_FLOW) return ExceptionAction.DROP_PACKET;
  return action === ExceptionAction.PASS_FLOW ? ExceptionAction.PASS_PACKET : action;
}

/**
 * Act on the packet at hand, whose `reason` says what went wrong; marks its flow where the action is about that.
 * @param byDefault what AUTO means here
 * @returns the verdict; NONE and PASS clear view.reason
 */
export function applyException(table: FlowTable, view: PacketView, action: ExceptionAction, byDefault: ExceptionAction): number {
  switch (action === ExceptionAction.AUTO ? byDefault : action) {
    case ExceptionAction.PASS_FLOW:
      view.reason = 0;
      if (view.flowId >= 0) table.setFlags(view.flowId, S_BYPASS);
      return Verdict.BYPASS;
    case ExceptionAction.PASS_PACKET:
      view.reason = 0;
      return Verdict.PASS;
    case ExceptionAction.DROP_PACKET:
      return Verdict.DROP;
    case ExceptionAction.DROP_FLOW:
      if (view.flowId >= 0) table.setFlags(view.flowId, S_DROPPED);
      return Verdict.DROP_FLOW;
    case ExceptionAction.REJECT:
      if (view.flowId < 0) return Verdict.REJECT;
      table.setFlags(view.flowId, S_DROPPED);
      return Verdict.REJECT_FLOW;
    default:
      view.reason = 0;
      return Verdict.NONE;
  }
}
