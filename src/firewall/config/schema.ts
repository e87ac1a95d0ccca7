/** JSON Schema of the `firewall` section: shape, documentation and defaults. Meaning is checked by parse.ts. */
import { HYGIENE_OFF, HYGIENE_SWITCHES, type HygieneSwitch } from '../hygiene.js';
import { CHECK_ACTION_NAMES, POSTURE_CHECKS, POSTURE_MODES } from '../posture.js';
import { ETHERTYPE_NAMES, ICMP_NAMES, PROTOCOL_NAMES } from './names.js';
import { DEFAULT_MIN_MSS } from './posture.js';

/** One value, a list of values, or `{ not: ... }`. */
const match = (description: string, item: object = { type: ['string', 'integer'] }): object => ({
  description: `${description} One value, a list, or { not: ... }; "!" in front of one value inverts it too. Default: any.`,
  anyOf: [
    item,
    { type: 'array', minItems: 1, items: item },
    { type: 'object', additionalProperties: false, required: ['not'], properties: { not: { anyOf: [item, { type: 'array', minItems: 1, items: item }] } } },
  ],
});

const ADDRESS_HELP = 'IP addresses: 192.0.2.1, 192.0.2.0/24, 192.0.2.1-192.0.2.9, IPv6 likewise, $name of a list.';

const end = (which: string): object => ({
  description: `${which} of the packet: an address value, or a mapping with address, mac and port.`,
  anyOf: [
    match(ADDRESS_HELP, { type: 'string' }),
    {
      type: 'object',
      additionalProperties: false,
      properties: {
        address: match(ADDRESS_HELP, { type: 'string' }),
        mac: match('MAC addresses, or $name of a list.', { type: 'string' }),
        port: match('Ports: 80, 8000-8100, $name of a list. Needs TCP, UDP or SCTP.'),
      },
    },
  ],
});

const matchFields = {
  frame: match(`Frame type: ${Object.keys(ETHERTYPE_NAMES).join(', ')}, or an EtherType as 0x88cc.`),
  protocol: match(`IP protocol: ${Object.keys(PROTOCOL_NAMES).join(', ')}, or a number.`),
  source: end('Source'),
  destination: end('Destination'),
  tcp_flags: { type: ['string', 'array'], items: { type: 'string' }, description: 'TCP flags that are set (syn,ack), or those set among those looked at (syn/syn,ack), or none; "!" inverts.' },
  icmp: match(`ICMP type and code: a type as 8, type/code as 3/4, or ${Object.keys(ICMP_NAMES).join(', ')}.`),
  schedule: { type: 'string', description: 'Name of a schedule; the rule is off outside it.' },
  context: { type: 'string', description: 'The rule is off unless this is one of active_contexts.' },
  log: { type: 'boolean', description: 'Write events; deny, log-only, drop and reject only. Default true.' },
  alert: { type: 'boolean', description: 'Raise an `alert` event (gid 3) beside the event of the rule; deny, log-only, drop and reject only. Default false.' },
  packet_data: { type: 'boolean', description: 'Put the packet into the event (`packet`, base64, 1500 bytes at most); deny, log-only, drop and reject only. Default false.' },
} as const;

const rule = {
  type: 'object',
  additionalProperties: false,
  required: ['action', 'direction'],
  description: 'Rules have no order: priority 4 to 0 decides, inside one priority bypass > log-only > force-allow > deny > allow.',
  properties: {
    name: { type: 'string', minLength: 1, description: 'Appears in events. Rules under `rules` have their key as name.' },
    action: { enum: ['allow', 'deny', 'force-allow', 'bypass', 'log-only'], description: 'allow permits and closes the direction for everything else; force-allow permits in spite of deny; bypass permits without tracking and inspection, and needs a mirror rule for replies.' },
    priority: { type: 'integer', minimum: 0, maximum: 4, description: 'allow only 0, log-only only 4. Default 0 (log-only 4).' },
    direction: { enum: ['in', 'out'], description: 'Seen from the VM.' },
    ...matchFields,
  },
} as const;

const on = (description: string): object => ({ type: 'boolean', description: `${description} Default true.` });
const limit = (description: string): object => ({ type: 'integer', minimum: 0, maximum: 1_000_000, description: `${description} Default 0 = no limit.` });

/** Settings of a policy have no schema defaults: those not given are taken from the policy it extends. */
const policy = {
  type: 'object',
  additionalProperties: false,
  properties: {
    extends: { type: 'string', description: 'Policy whose rules are added and whose settings hold where this one has none.' },
    mode: { enum: ['inline', 'tap', 'off'], description: 'inline enforces, tap passes everything and reports what it would have dropped, off does not judge. Default inline.' },
    rules: { type: 'array', description: 'Names of rules under firewall.rules, or rules written here.', items: { anyOf: [{ type: 'string' }, rule] } },
    stateful: {
      type: 'object',
      additionalProperties: false,
      description: 'Connection tracking. Without it a protocol is judged packet by packet, and replies need rules of their own.',
      properties: {
        tcp: on('Track TCP.'),
        udp: on('Track UDP.'),
        icmp: on('Track ICMP and ICMPv6.'),
        deny_fragments: { type: 'boolean', description: 'Drop IP fragments. Default false.' },
        deny_congestion_flags: { type: 'boolean', description: 'Drop TCP packets with CWR or ECE. Default false.' },
        max_incoming_per_peer: limit('Connections at one time from one computer.'),
        max_outgoing_per_peer: limit('Connections at one time to one computer.'),
        max_half_open_per_peer: limit('TCP connections from one computer whose handshake is not complete.'),
      },
    },
    posture: {
      description: 'What happens to odd packets: normal (nothing an honest host sends is refused), strict (every check denies), or custom with an action per check.',
      anyOf: [
        { enum: POSTURE_MODES },
        {
          type: 'object',
          additionalProperties: false,
          properties: {
            mode: { enum: POSTURE_MODES, description: 'Default custom.' },
            checks: {
              type: 'object',
              additionalProperties: false,
              description: 'Actions of posture custom. log-only passes and reports, deny-silent drops without an event.',
              properties: Object.fromEntries(POSTURE_CHECKS.map(([name, normal, custom, , help]) => [name, { enum: CHECK_ACTION_NAMES, description: `${help} Default ${CHECK_ACTION_NAMES[custom]}; normal: ${CHECK_ACTION_NAMES[normal]}.` }])),
            },
            paws_window: { type: 'integer', minimum: 0, maximum: 86_400_000, description: 'Units of the sender by which a TCP timestamp may be older than the last one. Default 0; Linux guests need one second (1000).' },
          },
        },
      ],
    },
    hygiene: {
      type: 'object',
      additionalProperties: false,
      description: 'Packets that no honest host sends, dropped before rules are asked.',
      properties: {
        ...Object.fromEntries((Object.keys(HYGIENE_SWITCHES) as HygieneSwitch[]).map((name) => [name, { type: 'boolean', description: `${HYGIENE_SWITCHES[name]}${HYGIENE_OFF.includes(name) ? '' : ' Default true.'}` }])),
        min_mss: { type: 'integer', minimum: 0, maximum: 1460, description: `SYNs that announce a smaller maximum segment size are dropped; 0 = any. Default ${DEFAULT_MIN_MSS}.` },
      },
    },
    implicit: {
      type: 'object',
      additionalProperties: false,
      description: 'Force-allow rules of priority 0 that need not be written.',
      properties: {
        path_mtu: on('ICMP fragmentation needed, ICMPv6 packet too big.'),
        neighbor_discovery: on('IPv6 neighbour discovery.'),
        arp: on('ARP.'),
        dns: on('Outgoing DNS queries.'),
        dhcp: on('DHCP and DHCPv6 as a client.'),
        block_same_address: on('Drop packets with the same source and destination address.'),
      },
    },
  },
} as const;

const named = (description: string, value: object): object => ({ type: 'object', default: {}, description, additionalProperties: value });
const items = { type: ['string', 'integer', 'array'], items: { type: ['string', 'integer'] } };

/** Fragment for the configuration file's schema. */
export const firewallSchema = {
  type: 'object',
  additionalProperties: false,
  description: 'Firewall rules and policies (Deep Security model). VMs name their policy by `vms.<name>.firewall`.',
  properties: {
    lists: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'Named lists, used as $name. A list may use lists written above it.',
      properties: { addresses: named('Address lists.', items), macs: named('MAC lists.', items), ports: named('Port lists.', items) },
    },
    schedules: named('Hours of the week: spans ("mon-fri 8-18", "sat") or 168 booleans from Sunday 0:00, or { hours, utc_offset: "+02:00" }.', {
      anyOf: [
        { type: 'string' },
        { type: 'array', items: { type: ['string', 'boolean'] } },
        { type: 'object', additionalProperties: false, required: ['hours'], properties: { hours: { type: ['string', 'array'], items: { type: ['string', 'boolean'] } }, utc_offset: { type: 'string', description: 'Default +00:00.' } } },
      ],
    }),
    active_contexts: { type: 'array', items: { type: 'string' }, default: [], description: 'Contexts that hold now; rules with another context are off.' },
    rules: named('Rules that policies use by name.', rule),
    policies: named('Policies of VMs, by name.', policy),
    emergency: {
      type: 'array',
      default: [],
      description: 'Ordered list above all rules of all policies: the first match decides.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['action'],
        properties: {
          name: { type: 'string', minLength: 1, description: 'Appears in events. Default "emergency <position>".' },
          action: { enum: ['allow', 'drop', 'reject'], description: 'reject answers with a TCP RST or ICMP unreachable.' },
          direction: { enum: ['in', 'out', 'both'], default: 'both', description: 'Seen from the VM.' },
          policies: { type: 'array', items: { type: 'string' }, description: 'Policies it is for. Default: all.' },
          ...matchFields,
        },
      },
    },
    recon: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'Reconnaissance detection.',
      properties: {
        enabled: { type: 'boolean', default: true, description: 'Watch for reconnaissance.' },
        scan: { type: 'boolean', default: true, description: 'Network and port scans.' },
        tcp_null: { type: 'boolean', default: true, description: 'TCP segments without flags.' },
        tcp_syn_fin: { type: 'boolean', default: true, description: 'TCP segments with SYN and FIN only.' },
        tcp_xmas: { type: 'boolean', default: true, description: 'TCP segments with FIN, URG and PSH only, or all flags.' },
        os_probe: { type: 'boolean', default: true, description: 'Operating system fingerprint probes.' },
        scan_targets: { type: 'integer', minimum: 5, maximum: 60, default: 25, description: 'Distinct ports, or denied host and port pairs, that one source may try in a window; permitted hosts count an eighth.' },
        window_seconds: { type: 'integer', minimum: 1, maximum: 3600, default: 60, description: 'Length of the window.' },
        slow_window_seconds: { type: 'integer', minimum: 60, maximum: 86_400, default: 3600, description: 'As window_seconds, for refused attempts of scanners that take their time.' },
        block_seconds: { type: 'integer', minimum: 0, maximum: 86_400, default: 0, description: 'Block the source this long; 0 = only report.' },
        allow: { ...match('Sources that may scan: address values as in rules.', { type: 'string' }), description: 'Sources never reported, as vulnerability scanners.' },
        watch: { ...match('Sources to watch.', { type: 'string' }), description: 'Watch only these sources. Default: all.' },
      },
    },
  },
} as const;
