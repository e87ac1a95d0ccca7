/** What can stand in a generated block of docs/*.md, and the files that are generated whole. */
import { flowTimeouts, ruleVariables, schemaText, setting, settingNames } from './configuration.mjs';
import { dropReasonSections, dropReasonIndex } from './drop-reasons.mjs';
import { event, eventTypes, explain, protocolEvents } from './events.mjs';
import { metrics } from './metrics.mjs';
import { appLayerEvents, decodeEvents, protocolTable, streamEvents } from './rule-events.mjs';
import { SECLANG_TABLES, seclang } from './seclang.mjs';

/** Name of a block -> (argument) => Markdown. */
export const BLOCKS = {
  'drop-reason-index': dropReasonIndex,
  'drop-reasons': dropReasonSections,
  'decode-events': decodeEvents,
  'stream-events': streamEvents,
  'app-layer-events': appLayerEvents,
  protocols: protocolTable,
  setting,
  'rule-variables': ruleVariables,
  'flow-timeouts': flowTimeouts,
  metrics,
  event,
  'protocol-events': protocolEvents,
  explain,
  seclang,
};

/** File -> () => its text. */
export const FILES = { 'schema/drawbridge.schema.json': schemaText };

/** Blocks that some page must have, so that nothing in the code stays undocumented. */
export async function requiredBlocks() {
  const settings = (await settingNames()).map((name) => `setting ${name}`);
  const events = (await eventTypes()).map((type) => `event ${type}`);
  return ['drop-reasons', 'decode-events', 'protocol-events', 'stream-events', 'app-layer-events', 'protocols', 'rule-variables', 'flow-timeouts', 'metrics', ...settings, ...events, ...SECLANG_TABLES.map((name) => `seclang ${name}`)];
}
