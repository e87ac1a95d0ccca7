/** The `web` section of the configuration as JSON Schema, and what it looks like once validated. */
import { MAX_OVERRIDES } from './policies.js';

const sizePattern = '^[0-9]+ ?(B|[kKmMgG]i?[bB]?)?$';
const size = (description: string, bytes: string) => ({
  type: ['string', 'integer'],
  pattern: sizePattern,
  description: `${description} Bytes, or a number with KiB, MiB, GiB.`,
  default: bytes,
});

const ENGINE = ['on', 'detect', 'off'] as const;
const level = (description: string) => ({ type: 'integer', minimum: 1, maximum: 4, description });
const threshold = (description: string) => ({ type: 'integer', minimum: 1, maximum: 100_000, description });
const variables = {
  type: 'object',
  propertyNames: { pattern: '^[A-Za-z_][A-Za-z0-9_.-]*$' },
  additionalProperties: { type: ['string', 'integer'] },
  description: 'Further variables of the rule set by the names of its setup file (`allowed_methods`, `max_num_args`, ...), set before its first rule.',
};

/** Settings of the rule set. None has a default here: what is not given is left to the rule set's own setup. */
const scoring = {
  paranoia: level('Blocking paranoia level: rules up to this level count towards blocking. Default: 1.'),
  detection_paranoia: level('Rules up to this level are run and reported; at least `paranoia`, which is the default.'),
  inbound_threshold: threshold('Anomaly score from which a request is blocked. One critical rule is worth 5. Default: 5.'),
  outbound_threshold: threshold('Anomaly score from which a response is blocked. One error rule is worth 4. Default: 4.'),
  early_blocking: { type: 'boolean', description: 'Also decide on heads alone, before the body is there. Default: false.' },
  sampling_percent: { type: 'integer', minimum: 1, maximum: 100, description: 'Share of the requests that the rule set judges; for a careful start. Default: 100.' },
};
const BLOCK = { enum: ['reset', 'page'], description: 'What the client of a blocked request gets: a TCP reset, or a page with the id of the transaction, where no part of a response has left yet. The server is reset in either case.' };

const withDefault = (schema: object, value: unknown) => ({ ...schema, default: value });

export const webSchema = {
  type: 'object',
  additionalProperties: false,
  default: {},
  description: 'Web-application protection: HTTP requests to the VMs, and the responses, judged by SecLang rules such as the OWASP Core Rule Set.',
  properties: {
    engine: { enum: ENGINE, default: 'off', description: '`on` blocks, `detect` only reports, `off` does not look. For VMs that do not say otherwise (`vms.NAME.web`).' },
    outgoing: { type: 'boolean', default: false, description: 'Judge requests to servers that are no VM of this appliance, too.' },
    rule_set: { enum: ['crs', 'none'], default: 'crs', description: '`crs`: the OWASP Core Rule Set that comes with Drawbridge.' },
    rules_before: { type: 'array', items: { type: 'string' }, default: [], description: 'SecLang files loaded before the rule set (exclusions by request), relative to this file.' },
    rules: { type: 'array', items: { type: 'string' }, default: [], description: 'SecLang files loaded after the rule set (own rules, exclusions by rule), relative to this file. A directory means all its *.conf files.' },
    ...scoring,
    variables,
    block: withDefault(BLOCK, 'reset'),
    request_body_limit: size('Bytes of a request body that are judged.', '12800 KiB'),
    request_body_no_files_limit: size('The same without uploaded files: rules look at all of that, which takes time. Applications that take large JSON, or files as plain bodies (PUT), need more.', '1 MiB'),
    request_body_limit_action: { enum: ['block', 'partial'], default: 'block', description: 'A longer request body is refused, or judged up to the limit.' },
    response_bodies: { type: 'boolean', default: true, description: 'Judge response bodies of text, HTML, XML and JSON.' },
    response_body_limit: size('Bytes of a response body that are judged; the rest passes.', '512 KiB'),
    hold: { enum: ['request', 'last-bytes'], default: 'request', description: '`request`: the server sees nothing of a request that may be blocked before all of it has been judged, as long as it fits in `hold_bytes`. `last-bytes`: only the packet that completes it waits for the judgement.' },
    hold_bytes: size('Longest request, as packets, that is held as a whole. More than a client sends without an acknowledgement makes it stall.', '8 KiB'),
    hold_timeout_ms: { type: 'integer', minimum: 50, maximum: 10_000, default: 400, description: 'A client that repeats itself after this long is not made to wait any more.' },
    unparsable: { enum: ['block', 'pass'], default: 'block', description: 'Connections to web servers that stop being readable as HTTP (a line or head longer than any server takes). What is merely wrong HTTP is judged and goes on to the server.' },
    memcap: size('Memory for bodies of open transactions.', '256 MiB'),
    flow_memcap: size('The same for one connection; has to hold `request_body_limit`.', '16 MiB'),
    memcap_policy: { enum: ['block', 'pass'], default: 'block', description: 'A request that finds no memory is refused, or its rest passes unjudged.' },
    max_pipelined: { type: 'integer', minimum: 1, maximum: 512, default: 32, description: 'Requests of a connection that may wait for their responses; for more of them the oldest response is not judged.' },
    overrides: {
      type: 'array',
      maxItems: MAX_OVERRIDES,
      default: [],
      description: 'Other settings for some VMs and hosts, on the same compiled rules. All that match are applied in order, later ones over earlier ones. Hosts are what the client claims: an override that loosens should name the VM as well.',
      items: {
        type: 'object',
        additionalProperties: false,
        properties: {
          name: { type: 'string', minLength: 1, maxLength: 64, description: 'Appears in events. Default: its number.' },
          vms: { type: 'array', minItems: 1, items: { type: 'string' }, description: 'Serving VMs. Default: all.' },
          hosts: { type: 'array', minItems: 1, items: { type: 'string', pattern: '^(\\*\\.)?[^*/:\\s]+$' }, description: 'Host names without port; `*.example.org` means all below it. Default: all.' },
          engine: { enum: ENGINE, description: 'Instead of `web.engine` and `vms.NAME.web`.' },
          block: BLOCK,
          ...scoring,
          variables,
          exclude: {
            type: 'array',
            description: 'Rules that are not run, or that leave something out.',
            items: {
              type: 'object',
              additionalProperties: false,
              required: ['rules'],
              properties: {
                rules: { type: ['integer', 'string'], description: 'A rule, ranges (`942100, 942130-942140`), or `tag:` and a regular expression on tags.' },
                path: { type: 'string', minLength: 1, description: 'Path of the request, `*` for any characters. Default: all.' },
                target: { type: 'string', minLength: 1, description: 'What the rules do not look at, such as `ARGS:comment`. Default: they are not run.' },
                expires: { type: 'string', pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', description: 'Day from which they are run again (UTC).' },
              },
            },
          },
        },
      },
    },
  },
} as const;

export type EngineSetting = (typeof ENGINE)[number];

interface Scoring {
  readonly paranoia?: number;
  readonly detection_paranoia?: number;
  readonly inbound_threshold?: number;
  readonly outbound_threshold?: number;
  readonly early_blocking?: boolean;
  readonly sampling_percent?: number;
  readonly variables?: Readonly<Record<string, string | number>>;
}

export interface WebOverrideConfig extends Scoring {
  readonly name?: string;
  readonly vms?: readonly string[];
  readonly hosts?: readonly string[];
  readonly engine?: EngineSetting;
  readonly block?: 'reset' | 'page';
  readonly exclude?: readonly { readonly rules: string | number; readonly path?: string; readonly target?: string; readonly expires?: string }[];
}

/** The section with its defaults, sizes in bytes. */
export interface WebConfig extends Scoring {
  readonly engine: EngineSetting;
  readonly outgoing: boolean;
  readonly rule_set: 'crs' | 'none';
  readonly rules_before: readonly string[];
  readonly rules: readonly string[];
  readonly block: 'reset' | 'page';
  readonly request_body_limit: number;
  readonly request_body_no_files_limit: number;
  readonly request_body_limit_action: 'block' | 'partial';
  readonly response_bodies: boolean;
  readonly response_body_limit: number;
  readonly hold: 'request' | 'last-bytes';
  readonly hold_bytes: number;
  readonly hold_timeout_ms: number;
  readonly unparsable: 'block' | 'pass';
  readonly memcap: number;
  readonly flow_memcap: number;
  readonly memcap_policy: 'block' | 'pass';
  readonly max_pipelined: number;
  readonly overrides: readonly WebOverrideConfig[];
}

/**
 * Setup variables of the Core Rule Set for these settings; only those that are given.
 * @param over what the settings are laid over: blocking above the detection level given there raises that level
 */
export function setupVariables(s: Scoring, over: Scoring = {}): Map<string, string> {
  const found = new Map<string, string>();
  const put = (name: string, value: number | undefined): void => {
    if (value !== undefined) found.set(name, String(value));
  };
  put('blocking_paranoia_level', s.paranoia);
  const inherited = s.paranoia === undefined || over.detection_paranoia === undefined ? undefined : Math.max(over.detection_paranoia, s.paranoia);
  put('detection_paranoia_level', s.detection_paranoia ?? inherited);
  put('inbound_anomaly_score_threshold', s.inbound_threshold);
  put('outbound_anomaly_score_threshold', s.outbound_threshold);
  put('early_blocking', s.early_blocking === undefined ? undefined : Number(s.early_blocking));
  put('sampling_percentage', s.sampling_percent);
  for (const [name, value] of Object.entries(s.variables ?? {})) found.set(name.toLowerCase(), String(value));
  return found;
}

/** Directives that the section stands for, to be loaded before all rules: the recommended settings with its limits in them. */
export function engineDirectives(c: WebConfig): string {
  return `SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit ${c.request_body_limit}
SecRequestBodyNoFilesLimit ${Math.min(c.request_body_limit, c.request_body_no_files_limit)}
SecRequestBodyLimitAction ${c.request_body_limit_action === 'block' ? 'Reject' : 'ProcessPartial'}
SecRequestBodyJsonDepthLimit 512
SecArgumentsLimit 1000
SecPcreMatchLimit 100000
SecPcreMatchLimitRecursion 100000
SecResponseBodyAccess ${c.response_bodies ? 'On' : 'Off'}
SecResponseBodyMimeType text/plain text/html text/xml application/json
SecResponseBodyLimit ${c.response_body_limit}
SecResponseBodyLimitAction ProcessPartial
SecAuditEngine Off
SecArgumentSeparator &
SecCookieFormat 0
`;
}
