/** What can stand in a generated block of docs/*.md, and the files that are generated whole. */
import { dropReasonSections, dropReasonIndex } from './drop-reasons.mjs';
import { appLayerEvents, decodeEvents, protocolTable, streamEvents } from './rule-events.mjs';

/** Name of a block -> (argument) => Markdown. */
export const BLOCKS = {
  'drop-reason-index': dropReasonIndex,
  'drop-reasons': dropReasonSections,
  'decode-events': decodeEvents,
  'stream-events': streamEvents,
  'app-layer-events': appLayerEvents,
  protocols: protocolTable,
};

/** File -> () => its text. */
export const FILES = {};

/** Blocks that some page must have, so that nothing in the code stays undocumented. */
export async function requiredBlocks() {
  return ['drop-reasons', 'decode-events', 'stream-events', 'app-layer-events', 'protocols'];
}
