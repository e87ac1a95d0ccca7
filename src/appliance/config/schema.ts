/**
 * The one configuration file, as JSON Schema: it validates, fills defaults and documents (docs/configuration.md and
 * schema/drawbridge.schema.json are generated from it by scripts/docs.mjs). Rooms own the fragments of their settings.
 */
import { driversSchema, filesSchema, vmDriverSchema, vmFilesSchema } from '../../file-events/index.js';
import { firewallSchema } from '../../firewall/index.js';
import { webSchema } from '../../web/index.js';
import { HELPERS } from '../../flow/index.js';
import { MAX_TUNNEL_DEPTH } from '../../packet/index.js';
import { EXCEPTION_POINTS, EXCEPTION_WORDS, PACKET_EXCEPTION_WORDS, PACKET_POINTS } from '../exceptions.js';
import { MAX_TIMEOUT, TIMEOUT_KEYS } from './timeouts.js';
import { EVENT_TYPES } from '../events/eve.js';
import { portSection } from './port-section.js';
import type { JsonSchema } from './validate.js';

const SIZE_PATTERN = '^[0-9]+ ?(B|[kKmMgG]i?[bB]?)?$';
const size = (description: string, bytes: string) => ({
  type: ['string', 'integer'],
  pattern: SIZE_PATTERN,
  description: `${description} Bytes, or a number with KiB, MiB, GiB (kb, mb, gb as Suricata writes them).`,
  default: bytes,
});

const optionalSize = (description: string) => ({ type: ['string', 'integer'], pattern: SIZE_PATTERN, description: `${description} Bytes, or a number with KiB, MiB, GiB.` });
const names = (description: string) => ({ type: 'array', minItems: 1, items: { type: 'string', minLength: 1 }, description });
const numbers = (description: string) => ({ type: 'array', minItems: 1, items: { type: 'integer', minimum: 0 }, description });

const ruleSelector = {
  type: 'object',
  additionalProperties: false,
  properties: {
    sid: { type: 'array', minItems: 1, items: { type: ['integer', 'string'] }, description: 'Signature ids, and ranges as text: "2100000-2100999".' },
    gid: numbers('Generator ids.'),
    classtype: names('Class types, as rules write them.'),
    priority: numbers('Priorities: 1 is most urgent.'),
    file: names('Base names of rule files; * stands for any characters.'),
    group: names('First words of the message: "ET MALWARE".'),
    metadata: { type: 'object', additionalProperties: { type: 'array', minItems: 1, items: { type: 'string' } }, description: 'Metadata keys with the values accepted.' },
  },
};

const selectorOf = (description: string) => ({ ...ruleSelector, description });

const rulePolicySection = {
  type: 'object',
  additionalProperties: false,
  properties: {
    base: { enum: ['all', 'none'], default: 'all', description: 'Rules enabled before the first step.' },
    rules: {
      type: 'array',
      maxItems: 256,
      default: [],
      description: 'Steps in order, one action each; the last that selects a rule decides. A rule is selected when everything given fits.',
      items: {
        type: 'object',
        additionalProperties: false,
        minProperties: 1,
        maxProperties: 1,
        properties: {
          enable: selectorOf('Use these rules.'),
          disable: selectorOf('Do not use these rules.'),
          detect: selectorOf('These rules alert but never drop.'),
          prevent: selectorOf('These rules drop again, where the VM is in prevent mode.'),
        },
      },
    },
  },
};

export const configSchema: JsonSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  $id: 'https://drawbridge.invalid/schema/drawbridge.schema.json',
  title: 'Drawbridge configuration',
  type: 'object',
  additionalProperties: false,
  required: ['ports'],
  properties: {
    name: { type: 'string', maxLength: 64, default: 'drawbridge', description: 'Name of this appliance; `host` of every event.' },
    ports: { type: 'array', minItems: 1, maxItems: 1024, items: portSection, description: 'Where VMs meet the switch.' },
    vms: {
      type: 'object',
      default: {},
      description: 'The virtual machines, by name. A port belongs to a VM by its `vm` setting; identity comes from the port, never from the packet.',
      additionalProperties: {
        type: 'object',
        additionalProperties: false,
        properties: {
          tenant: { type: 'string', default: 'default', description: 'Whom the VM belongs to: a note for people, nothing is judged by it.' },
          firewall: { type: 'string', description: 'Name of the firewall policy; without it the firewall lets everything pass (connections are still tracked).' },
          ips: { enum: ['prevent', 'detect', 'off'], default: 'prevent', description: '`prevent` enforces drop and reject rules, `detect` only reports them, `off` does not inspect traffic that has this VM on either end unless the other VM wants it.' },
          web: { enum: ['on', 'detect', 'off'], description: 'Web protection of what this VM serves, instead of `web.engine`.' },
          budget: {
            type: 'object',
            additionalProperties: false,
            default: {},
            description: 'What the VM may take of what all share, in place of the general shares (`flow`, `stream`, `defrag`). Beyond it only this VM is refused, and the drop reason says so.',
            properties: {
              flows: { type: 'integer', minimum: 1, maximum: 16_777_216, description: 'Flows it opened that are tracked at one time. Default: `flow.max_share_percent`.' },
              half_open: { type: 'integer', minimum: 1, maximum: 16_777_216, description: 'Unfinished TCP handshakes among them. Default: `flow.half_open_share_percent`.' },
              new_flows_per_second: { type: 'integer', minimum: 1, maximum: 10_000_000, description: 'New flows per second. Default: `flow.new_per_second`.' },
              stream_memory: { ...optionalSize('Reassembly memory for data it sent. Default: `stream.max_share_percent`.') },
              fragment_memory: { ...optionalSize('Memory for fragments it sent. Default: `defrag.max_share_percent`.') },
              answers_per_second: { type: 'integer', minimum: 1, maximum: 1000, default: 250, description: 'Refused packets of it that are answered (TCP RST, ICMP unreachable).' },
            },
          },
          ips_policy: { type: 'string', description: 'Name of the policy under `ips.policies` that selects the rules of this VM; without it all rules count.' },
          files: vmFilesSchema,
          driver: vmDriverSchema,
          failure: {
            type: 'object',
            additionalProperties: false,
            default: {},
            description: 'What happens to traffic that cannot be judged.',
            properties: {
              engine: { enum: ['closed', 'open'], default: 'closed', description: 'Internal error of an engine while judging a packet.' },
              sanity: { enum: ['closed', 'open'], default: 'closed', description: 'Packets with truncated or contradictory headers.' },
            },
          },
        },
      },
    },
    switch: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'Switching between the ports.',
      properties: {
        mac_table_size: { type: 'integer', minimum: 10, maximum: 1_000_000, default: 8192, description: 'MAC addresses learned at most; the port with most entries pays when it is full.' },
        approvals: { type: 'string', default: '', description: 'File that keeps the addresses operators approve (`drawbridge switch approve`), relative to this one. Empty = approvals end with the process.' },
        mac_ageing_seconds: { type: 'integer', minimum: 15, maximum: 3600, default: 300, description: 'A learned address not seen for this long is forgotten.' },
      },
    },
    mirrors: {
      type: 'array',
      maxItems: 16,
      default: [],
      description: 'Copies of the traffic in rotating capture files: wire frames as they came in and as they left.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name', 'file'],
        properties: {
          name: { type: 'string', minLength: 1, maxLength: 64, description: 'Appears in the log.' },
          file: { type: 'string', minLength: 1, description: 'Newest capture file, relative to this one; older ones are named file.1, file.2, ...' },
          ports: { type: 'array', minItems: 1, items: { type: 'string' }, description: 'Names of ports. Default: all.' },
          vlans: { type: 'array', minItems: 1, items: { type: 'integer', minimum: 1, maximum: 4094 }, description: 'VLANs. Default: all.' },
          direction: { enum: ['in', 'out', 'both'], default: 'both', description: '`in`: frames received from the ports, `out`: frames sent to them.' },
          dropped_only: { type: 'boolean', default: false, description: 'Only frames that were dropped.' },
          filter: { type: 'string', minLength: 1, maxLength: 4096, description: 'Only frames that this expression fits, such as `tcp port 443 and not net 10.0.0.0/8` (docs/switch.md). Default: all.' },
          sample: { type: 'integer', minimum: 1, maximum: 1_000_000, default: 1, description: 'Write every n-th frame that matches.' },
          frames_per_second: { type: 'integer', minimum: 1, maximum: 10_000_000, description: 'Limit; what is over it is counted, not written. Default: none.' },
          max_file_size: size('A file is rotated at this size, 4 KiB at least.', '64 MiB'),
          max_files: { type: 'integer', minimum: 1, maximum: 1000, default: 4, description: 'Files kept, the newest included.' },
        },
      },
    },
    firewall: { ...(firewallSchema as object), default: {} },
    ips: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'Intrusion prevention.',
      properties: {
        enabled: { type: 'boolean', default: true, description: 'Inspect payload at all.' },
        rules: { type: 'array', items: { type: 'string' }, default: [], description: 'Rule files in Suricata or Snort syntax, relative to this file. A directory means all its *.rules files.' },
        variables: {
          type: 'object',
          additionalProperties: { type: ['string', 'integer'] },
          default: {},
          description: 'Address and port variables of the rules ($HOME_NET ...); those not given have the values listed in docs/configuration.md.',
        },
        policies: {
          type: 'object',
          default: {},
          description: 'Selections of the rules, by name, for the `ips_policy` of VMs. All VMs share one compiled database; a policy costs two bits per rule, whatever the number of VMs.',
          additionalProperties: rulePolicySection,
        },
        reload: {
          enum: ['all-or-nothing', 'skip-refused'],
          default: 'all-or-nothing',
          description: 'What a reload does about rules that are refused and were not refused before: `all-or-nothing` keeps the policy in force and says why, `skip-refused` loads the others.',
        },
        max_alerts_per_packet: { type: 'integer', minimum: 1, maximum: 255, default: 15, description: 'Alerts one packet may raise.' },
        cache: { type: 'string', default: '', description: 'Directory for compiled pattern databases, relative to this file; it may be emptied at any time. Empty = compile at each start.' },
      },
    },
    web: webSchema,
    stream: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'TCP reassembly.',
      properties: {
        memcap: size('Memory for reassembly.', '256 MiB'),
        depth: size('Bytes of each direction that are reassembled and inspected; 0 = all.', '1 MiB'),
        midstream: { type: 'boolean', default: false, description: 'Track and inspect connections whose start was not seen.' },
        max_share_percent: { type: 'integer', minimum: 1, maximum: 100, default: 50, description: 'Share of the memory that data sent by one VM may hold.' },
        overlap: { enum: ['rewrite', 'drop'], default: 'rewrite', description: 'A retransmission with other bytes than those inspected is rewritten to them, or dropped.' },
      },
    },
    flow: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'The flow table.',
      properties: {
        max: { type: 'integer', minimum: 1024, maximum: 16_777_216, default: 262_144, description: 'Flows tracked at most.' },
        max_share_percent: { type: 'integer', minimum: 1, maximum: 100, default: 50, description: 'Share of the table one VM may fill with flows it opens.' },
        half_open_share_percent: { type: 'integer', minimum: 1, maximum: 100, default: 10, description: 'Share of the table one VM may fill with unfinished TCP handshakes. Uplinks have no such limit.' },
        new_per_second: { type: 'integer', minimum: 0, maximum: 10_000_000, default: 0, description: 'New flows per second one VM may open; 0 = any number. Uplinks have no such limit.' },
        timeouts: {
          default: 'conntrack',
          description: 'Idle timeouts: the profile of either product (docs/firewall.md lists both), or a profile with values of your own.',
          anyOf: [
            { enum: ['deep-security', 'conntrack'] },
            {
              type: 'object',
              additionalProperties: false,
              properties: {
                profile: { enum: ['deep-security', 'conntrack'], description: 'Where values that are not given come from. Default conntrack.' },
                ...Object.fromEntries(TIMEOUT_KEYS.map(([key, , help]) => [key, { type: 'integer', minimum: 0, maximum: MAX_TIMEOUT, description: `Seconds: ${help}` }])),
              },
            },
          ],
        },
        helpers: { type: 'array', uniqueItems: true, items: { enum: [...HELPERS] }, default: [...HELPERS], description: 'Protocols whose data connections pass as related when their control connection (which must be inspected) announces them: FTP with the client opening (passive) or the server (active), TFTP. A deny rule still stops them.' },
        strict_tunnels: { type: 'boolean', default: true, description: 'The same for packets inside GRE, VXLAN, Geneve, IP-in-IP and Teredo, with `strict`. False where only one direction of a tunnel comes by.' },
        max_tunnel_depth: { type: 'integer', minimum: 0, maximum: MAX_TUNNEL_DEPTH, default: MAX_TUNNEL_DEPTH, description: 'Tunnels inside one another that may pass; 0 = no tunnel may.' },
        strict: { type: 'boolean', default: true, description: 'Packets that belong to no connection or lie outside the TCP window are dropped; false only counts them.' },
      },
    },
    exception_policy: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'What happens to traffic that an engine could not follow. auto drops the packet where the appliance enforces; app_layer_error and midstream are ignored by it.',
      properties: {
        default: { enum: EXCEPTION_WORDS, description: 'For those not named. Default auto.' },
        ...Object.fromEntries(Object.entries(EXCEPTION_POINTS).map(([point, help]) => [point, { enum: PACKET_POINTS.includes(point) ? PACKET_EXCEPTION_WORDS : EXCEPTION_WORDS, description: help }])),
      },
    },
    defrag: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'IP fragments.',
      properties: {
        memcap: size('Memory for fragments.', '32 MiB'),
        max_datagrams: { type: 'integer', minimum: 16, maximum: 65_536, default: 4096, description: 'Datagrams put together at the same time.' },
        max_share_percent: { type: 'integer', minimum: 1, maximum: 100, default: 25, description: 'Share of memory and datagrams for fragments of one VM.' },
        timeout_seconds: { type: 'integer', minimum: 1, maximum: 120, default: 60, description: 'An incomplete datagram is forgotten after this.' },
        min_first_fragment: { type: 'integer', minimum: 0, maximum: 1500, default: 120, description: 'First fragments shorter than this, IP header included, are dropped: they split headers (RFC 1858). 0 = any.' },
        min_offset: { type: 'integer', minimum: 0, maximum: 1500, default: 60, description: 'Fragments that begin before this byte of the datagram, other than the first, are dropped: they overwrite headers (RFC 1858). 0 = any.' },
      },
    },
    events: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'Events in EVE JSON.',
      properties: {
        file: { type: 'string', default: 'eve.json', description: 'File, relative to this one; empty = none.' },
        types: {
          type: 'array',
          uniqueItems: true,
          items: { enum: [...EVENT_TYPES, 'anti_malware', 'file_scan', 'integrity', 'log_inspection'] },
          default: ['alert', 'drop', 'flow', 'http', 'dns', 'tls', 'ssh', 'smtp', 'ftp', 'stats', 'firewall', 'recon', 'switch', 'web', 'anti_malware', 'file_scan', 'fileinfo', 'integrity', 'log_inspection'],
          description: 'Event types written.',
        },
        rotate: size('Start a new file once this one is larger; 0 = never.', '256 MiB'),
        keep: { type: 'integer', minimum: 0, maximum: 100, default: 5, description: 'Rotated files kept.' },
        drops_per_second: { type: 'integer', minimum: 0, maximum: 1_000_000, default: 100, description: 'Drop events per second for drops that no rule caused, and anomaly events per second; drops a rule caused are always written, and the counters count all.' },
        stats_seconds: { type: 'integer', minimum: 1, maximum: 3600, default: 30, description: 'Interval of `stats` events.' },
      },
    },
    files: filesSchema(size),
    drivers: driversSchema,
    metrics: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'Prometheus metrics on their own listener.',
      properties: {
        listen: { type: 'string', default: '127.0.0.1:9464', pattern: '^(\\[[0-9a-fA-F:]+\\]|[^:\\[\\]]*):[0-9]{1,5}$|^$', description: 'host:port; empty = no listener.' },
      },
    },
    control: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'How the running appliance is told to do something.',
      properties: {
        socket: { type: 'string', default: '', description: 'Unix socket for `drawbridge reload`, `drawbridge files` and `drawbridge switch`, relative to this file; only the user who runs the appliance may use it. Empty = none (SIGHUP reloads all the same).' },
      },
    },
    privileges: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'What the process gives up once the ports are open.',
      properties: {
        user: { type: 'string', default: '', pattern: '^([0-9]{1,9}:[0-9]{1,9})?$', description: 'Numeric uid:gid to become, with `drop` in any case; empty = stay. The directory of the event file must be writable for it when files rotate.' },
        drop: { type: 'boolean', default: true, description: 'Drop every capability but NET_ADMIN and NET_RAW (and DAC_READ_SEARCH where `vms.<name>.files.root` is to be read) and set no_new_privs, also when not started as root.' },
      },
    },
  },
};
