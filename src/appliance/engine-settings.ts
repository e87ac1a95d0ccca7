/**
 * Everything the inspection engine can be told, in one flat record: derived from the configuration for `run`, from defaults for
 * `replay`, and changed by `--set KEY=VALUE` with Suricata's setting names so that captures of other people's tests replay as
 * they do there.
 */
import { CONNTRACK_TIMEOUTS, HELPERS, type FlowTimeouts, type Helper } from '../flow/index.js';
import { MAX_TUNNEL_DEPTH } from '../packet/index.js';
import type { Config } from './config/load.js';
import { parseSize } from './config/size.js';
import { timeoutsOf } from './config/timeouts.js';
import { EXCEPTION_WORDS, PACKET_EXCEPTION_WORDS, PACKET_POINTS, type ExceptionPoint, type ExceptionSettings } from './exceptions.js';

export interface EngineSettings {
  /** Drop rules drop; otherwise they only alert (IDS). */
  enforce: boolean;
  /** Packets that connection tracking or reassembly cannot place are dropped. */
  strict: boolean;
  /** As strict, for packets inside tunnels. */
  strictTunnels: boolean;
  maxTunnelDepth: number;
  /** Packets whose checksum is wrong are dropped, as their receiver would; captures often hold unfinished ones. */
  verifyChecksums: boolean;
  midstream: boolean;
  asyncOneside: boolean;
  /** Suricata's stream.midstream-policy: what happens to flows picked up midstream. */
  exceptions: ExceptionSettings;
  streamInline: boolean;
  streamDepth: number;
  streamMemcap: number;
  streamOverlap: 'rewrite' | 'drop';
  urgentPolicy: string;
  defragMemcap: number;
  defragMaxDatagrams: number;
  defragTimeout: number;
  /** Smallest first fragment and smallest later offset in bytes; 0 = any. */
  defragMinFirst: number;
  defragMinOffset: number;
  flowMax: number;
  flowSharePercent: number;
  flowTimeouts: FlowTimeouts;
  /** Protocols whose announced connections pass without a rule. */
  helpers: readonly Helper[];
  maxAlertsPerPacket: number;
  variables: Readonly<Record<string, string>>;
  http: { requestBodyLimit: number; responseBodyLimit: number; decompressLayers: number; lzma: boolean };
  /** Ports a protocol is looked for on, by protocol name. */
  protocolPorts: Record<string, number[]>;
}

/** What `replay` uses without a configuration file: watch and judge everything, drop nothing by itself. */
export function replaySettings(): EngineSettings {
  return {
    enforce: false,
    strict: false,
    strictTunnels: false,
    maxTunnelDepth: MAX_TUNNEL_DEPTH,
    verifyChecksums: false,
    midstream: false,
    asyncOneside: false,
    exceptions: {},
    streamInline: false,
    streamDepth: 1024 * 1024,
    streamMemcap: 256 * 1024 * 1024,
    streamOverlap: 'rewrite',
    urgentPolicy: 'oob',
    defragMemcap: 32 * 1024 * 1024,
    defragMaxDatagrams: 4096,
    defragTimeout: 60,
    defragMinFirst: 0,
    defragMinOffset: 0,
    flowMax: 262_144,
    flowSharePercent: 100,
    flowTimeouts: CONNTRACK_TIMEOUTS,
    helpers: HELPERS,
    maxAlertsPerPacket: 15,
    variables: {},
    http: { requestBodyLimit: 100 * 1024, responseBodyLimit: 100 * 1024, decompressLayers: 2, lzma: false },
    protocolPorts: {},
  };
}

export function settingsOf(config: Config): EngineSettings {
  return {
    ...replaySettings(),
    enforce: true,
    strict: config.flow.strict,
    strictTunnels: config.flow.strict && config.flow.strict_tunnels,
    maxTunnelDepth: config.flow.max_tunnel_depth,
    verifyChecksums: true,
    streamInline: true,
    midstream: config.stream.midstream,
    streamDepth: config.stream.depth,
    streamMemcap: config.stream.memcap,
    streamOverlap: config.stream.overlap,
    defragMemcap: config.defrag.memcap,
    defragMaxDatagrams: config.defrag.max_datagrams,
    defragTimeout: config.defrag.timeout_seconds,
    defragMinFirst: config.defrag.min_first_fragment,
    defragMinOffset: config.defrag.min_offset,
    flowMax: config.flow.max,
    flowSharePercent: config.flow.max_share_percent,
    exceptions: config.exception_policy,
    flowTimeouts: timeoutsOf(config.flow.timeouts),
    helpers: config.flow.helpers,
    maxAlertsPerPacket: config.ips.max_alerts_per_packet,
    variables: Object.fromEntries(Object.entries(config.ips.variables).map(([k, v]) => [k, String(v)])),
  };
}

type Apply = (s: EngineSettings, value: string) => boolean;

const HTP = 'app-layer.protocols.http.libhtp.default-config.';

/** Suricata setting name -> what it does here. Applies return false when the value is not understood. */
const SETTINGS: Readonly<Record<string, { accepts: string; apply: Apply }>> = {
  'stream.midstream': { accepts: 'true or false', apply: flag((s, v) => (s.midstream = v)) },
  'stream.async-oneside': { accepts: 'true or false', apply: flag((s, v) => (s.asyncOneside = v)) },
  'stream.inline': { accepts: 'true, false or auto', apply: (s, v) => (v === 'auto' ? true : flag((t, b) => (t.streamInline = b))(s, v)) },
  'exception-policy': exception('default'),
  'stream.midstream-policy': exception('midstream'),
  'stream.memcap-policy': exception('stream_memcap'),
  'stream.reassembly.memcap-policy': exception('stream_memcap'),
  'flow.memcap-policy': exception('flow_memcap'),
  'defrag.memcap-policy': exception('defrag_memcap'),
  'app-layer.error-policy': exception('app_layer_error'),
  'stream.memcap': { accepts: 'a size', apply: size((s, v) => (s.streamMemcap = v)) },
  'stream.reassembly.memcap': { accepts: 'a size', apply: size((s, v) => (s.streamMemcap = v)) },
  'stream.reassembly.depth': { accepts: 'a size', apply: size((s, v) => (s.streamDepth = v)) },
  'stream.reassembly.urgent.policy': { accepts: 'oob, inline, drop or gap', apply: (s, v) => ['oob', 'inline', 'drop', 'gap'].includes(v) && ((s.urgentPolicy = v), true) },
  'defrag.memcap': { accepts: 'a size', apply: size((s, v) => (s.defragMemcap = v)) },
  [`${HTP}request-body-limit`]: { accepts: 'a size', apply: size((s, v) => (s.http.requestBodyLimit = v)) },
  [`${HTP}response-body-limit`]: { accepts: 'a size', apply: size((s, v) => (s.http.responseBodyLimit = v)) },
  [`${HTP}response-body-decompress-layer-limit`]: { accepts: 'a number', apply: size((s, v) => (s.http.decompressLayers = v)) },
  [`${HTP}lzma-enabled`]: { accepts: 'yes or no', apply: flag((s, v) => (s.http.lzma = v)) },
};

/**
 * Apply one `--set KEY=VALUE`.
 * @returns undefined, or what is wrong with it
 */
export function applySetting(s: EngineSettings, key: string, value: string): string | undefined {
  const known = Object.hasOwn(SETTINGS, key) ? SETTINGS[key] : undefined;
  if (known) return known.apply(s, value.trim()) ? undefined : `--set ${key}: "${value}" is not understood; accepted: ${known.accepts}`;
  const ports = /^app-layer\.protocols\.([a-z0-9-]+)(?:\.(?:tcp|udp))?\.detection-ports\.(?:dp|sp)$/.exec(key);
  if (ports) {
    const list = value.split(',').map((p) => Number(p.trim()));
    if (list.some((p) => !Number.isInteger(p) || p < 0 || p > 65535)) return `--set ${key}: "${value}" is not a list of ports`;
    s.protocolPorts[ports[1]!] = list;
    return undefined;
  }
  const group = /^vars\.(?:address|port)-groups\.(\w+)$/.exec(key);
  if (group) {
    s.variables = { ...s.variables, [group[1]!]: value };
    return undefined;
  }
  return `--set ${key}: no such setting; known: ${Object.keys(SETTINGS).join(', ')}, app-layer.protocols.NAME.detection-ports.dp, vars.address-groups.NAME, vars.port-groups.NAME`;
}

function exception(point: ExceptionPoint | 'default'): { accepts: string; apply: Apply } {
  const words = PACKET_POINTS.includes(point) ? PACKET_EXCEPTION_WORDS : EXCEPTION_WORDS;
  return { accepts: words.join(', '), apply: (s, v) => words.includes(v) && ((s.exceptions = { ...s.exceptions, [point]: v }), true) };
}

function flag(set: (s: EngineSettings, value: boolean) => void): Apply {
  return (s, v) => {
    const on = ['true', 'yes', 'on', '1'].includes(v.toLowerCase());
    if (!on && !['false', 'no', 'off', '0'].includes(v.toLowerCase())) return false;
    set(s, on);
    return true;
  };
}

function size(set: (s: EngineSettings, value: number) => void): Apply {
  return (s, v) => {
    const bytes = parseSize(v);
    if (bytes === undefined) return false;
    set(s, bytes);
    return true;
  };
}
