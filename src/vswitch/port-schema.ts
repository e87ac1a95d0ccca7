/**
 * JSON Schema (2020-12) of one entry of `ports` in the configuration: the settings every port has, and per type those of
 * ports/registry.ts. The descriptions are the reference documentation.
 */
import { PORT_TYPES, type PortTypeOptions, type PortTypeRow } from './ports/registry.js';
import type { SwitchPortConfig } from './switch-port.js';
import { VLAN_DEFAULT, VLAN_MAX, VLAN_MIN } from './vlan.js';

/** One entry of `ports`. */
export type PortDefinition = SwitchPortConfig & PortTypeOptions;

/** What the switch needs of a definition, with the defaults that depend on the type: mirror ports are passive. */
export function switchPortConfig(definition: PortDefinition): SwitchPortConfig {
  const row: PortTypeRow = PORT_TYPES[definition.type];
  return row.passive === true && definition.passive === undefined ? { ...definition, passive: true } : definition;
}

const mac = { type: 'string', pattern: '^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$' } as const;
const vlanId = { type: 'integer', minimum: VLAN_MIN, maximum: VLAN_MAX } as const;
const acceptReject = { enum: ['accept', 'reject'], default: 'reject' } as const;
const storm = {
  type: 'object',
  additionalProperties: false,
  properties: {
    broadcast: { type: 'number', exclusiveMinimum: 0, description: 'Broadcast frames per second; one second of burst. Default: no limit.' },
    multicast: { type: 'number', exclusiveMinimum: 0, description: 'Multicast frames per second; one second of burst. Default: no limit.' },
  },
} as const;

const vlan = {
  description: `VLAN membership. Default: access VLAN ${VLAN_DEFAULT}.`,
  oneOf: [
    {
      type: 'object',
      additionalProperties: false,
      required: ['mode', 'id'],
      properties: {
        mode: { enum: ['access', 'tunnel'], description: 'access: untagged frames of one VLAN. tunnel (QinQ): whatever the guest sends, inside one VLAN.' },
        id: vlanId,
      },
    },
    {
      type: 'object',
      additionalProperties: false,
      required: ['mode'],
      properties: {
        mode: { const: 'trunk' },
        allowed: {
          type: 'array',
          minItems: 1,
          items: { oneOf: [vlanId, { type: 'string', pattern: '^\\d{1,4}(-\\d{1,4})?$' }] },
          description: 'VLANs and ranges such as "100-199". Default: all.',
        },
        native: { ...vlanId, description: 'VLAN of untagged frames. Default: none, untagged frames are refused.' },
      },
    },
  ],
} as const;

const security = {
  type: 'object',
  additionalProperties: false,
  description: 'What the guest may send and hear. vm = default for role vm, uplink = for role uplink.',
  properties: {
    forgedTransmits: { ...acceptReject, description: "Frames whose source MAC is none of the port's own." },
    macChanges: { ...acceptReject, description: 'Reject: nothing is delivered while the guest adapter carries another MAC than configured.' },
    promiscuous: { ...acceptReject, description: 'Accept: the port sees every frame of its VLANs.' },
    allowLinkLocal: { type: 'boolean', default: true, description: 'With ips: IPv6 link-local sources pass as well.' },
    bpduFilter: { type: 'boolean', description: 'Drop bridge protocol frames from and to the port. vm: true, uplink: false.' },
    bpduAllowed: { type: 'array', items: mac, description: 'Bridge protocol destinations that pass all the same.' },
    dhcpServerBlock: { type: 'boolean', description: 'Drop DHCP and DHCPv6 server messages from the port. vm: true, uplink: false.' },
    dhcpClientBlock: { type: 'boolean', default: false, description: 'Drop DHCP and DHCPv6 client messages from the port.' },
    raGuard: { type: 'boolean', description: 'Drop IPv6 router advertisements from the port. vm: true, uplink: false.' },
    nonIpBlock: { type: 'boolean', default: false, description: 'Take only IPv4, IPv6, ARP, RARP and bridge protocols.' },
    discovery: {
      type: 'object',
      additionalProperties: false,
      description: 'Find out which IP addresses are behind the port. Default: off, unless spoof_guard is on.',
      properties: {
        arp: { type: 'boolean', default: true, description: 'From ARP requests, replies and announcements of the guest.' },
        nd: { type: 'boolean', default: true, description: 'From IPv6 neighbour discovery, duplicate address detection included.' },
        dhcp: { type: 'boolean', default: true, description: 'From what DHCP and DHCPv6 servers on other ports grant it.' },
        trust: { enum: ['first-use', 'every-use'], default: 'first-use', description: 'first-use: the first addresses are trusted for ever. every-use: as long as they are seen, then others may come.' },
        maxIpv4: { type: 'integer', minimum: 0, maximum: 128, default: 1, description: 'IPv4 addresses trusted; later ones are only listed.' },
        maxIpv6: { type: 'integer', minimum: 0, maximum: 128, default: 8, description: 'IPv6 addresses trusted; link-local ones do not count.' },
        ageingSeconds: { type: 'integer', minimum: 15, maximum: 86400, default: 600, description: 'An address not seen for this long is forgotten; trusted ones only with every-use. DHCP leases end when they end.' },
      },
    },
    spoofGuard: {
      type: 'object',
      additionalProperties: false,
      description: 'Source addresses and the payload of ARP and neighbour discovery must be addresses of the port: those of `ips`, and what the mode adds. Needs mac.',
      properties: {
        mode: { enum: ['off', 'auto', 'approve'], default: 'off', description: 'auto: what discovery trusts. approve: what an operator approved (`drawbridge switch approve`); nothing passes before.' },
        authorised: { type: 'array', minItems: 1, items: { type: 'string' }, description: 'Subnets the port may have addresses in. Default: any.' },
      },
    },
    loopProtection: { enum: ['off', 'drop', 'block'], default: 'drop', description: "drop: frames that carry another port's configured MAC are dropped. block: and a port with more than 10 of them, or of MAC addresses moving to it, in one second is cut off." },
    loopBlockSeconds: { type: 'integer', minimum: 1, maximum: 86400, default: 60, description: 'How long a looping port is cut off.' },
    rx: { ...storm, description: 'Storm limits for frames from the port.' },
    tx: { ...storm, description: 'Storm limits for frames to the port.' },
  },
} as const;

const common = {
  name: { type: 'string', minLength: 1, maxLength: 64, description: 'Unique; the label of metrics and events.' },
  role: { enum: ['vm', 'uplink'], default: 'vm', description: 'uplink: the outside, where routers, DHCP servers and bridges are legitimate.' },
  mac: { ...mac, description: "MAC of the VM's adapter. Without it the three MAC checks have nothing to compare with." },
  allowedMacs: { type: 'array', items: mac, description: 'Further MACs the guest may use.' },
  ips: {
    type: 'array',
    minItems: 1,
    items: { type: 'string' },
    description: 'Addresses or prefixes the guest may use as source, in IP headers, ARP and neighbour discovery. Default: any.',
  },
  state: { enum: ['up', 'down', 'quarantine'], default: 'up' },
  vlan,
  isolated: { type: 'boolean', default: false, description: 'Exchanges no frames with other isolated ports.' },
  passive: { type: 'boolean', description: 'Inspect only: frames are judged, none is switched. Default of mirror ports: true.' },
  forwardTo: { type: 'string', description: 'Virtual wire: every frame from this port leaves by the named one.' },
  security,
} as const;

/** Schema of one port definition; a test holds it and the registry to the same set of types. */
export const portSchema = {
  type: 'object',
  required: ['name', 'type'],
  properties: { type: { enum: Object.keys(PORT_TYPES), description: Object.entries(PORT_TYPES).map(([name, row]) => `${name}: ${row.help}`).join(' ') } },
  oneOf: Object.entries<PortTypeRow>(PORT_TYPES).map(([name, row]) => ({
    title: name,
    type: 'object',
    additionalProperties: false,
    required: ['name', 'type', ...row.required],
    properties: { type: { const: name }, ...common, ...row.properties },
  })),
} as const;
