/**
 * From the event of a false block to the narrowest exclusion that undoes it: one rule, one host, one path, one parameter, until
 * a date. Written as SecLang, so that it can be read, edited and taken elsewhere.
 */

/** What an exclusion is made from: the parts of a `web` event that matter. */
export interface BlockedTransaction {
  readonly transactionId: string;
  /** '' when the request named none. */
  readonly host: string;
  readonly method: string;
  readonly url: string;
  /** The rule that decided, 0 when none did. */
  readonly decidedBy: number;
  readonly rules: readonly { readonly id: number; readonly message: string; readonly variable: string; readonly scored: boolean }[];
}

export interface Exclusion {
  readonly ruleId: number;
  readonly message: string;
  /** '' = any host. */
  readonly host: string;
  /** Path of the target as sent, without query. */
  readonly path: string;
  /** All paths that begin so. */
  readonly prefix: boolean;
  /** Variable that the rule leaves out there (`ARGS:comment`), null = it is not run at all: what it matched is no parameter. */
  readonly target: string | null;
  /** Seconds since the epoch. */
  readonly expires: number;
}

/** Variables that name one thing of a request, which a rule can do without. */
const PARAMETER = /^(?:ARGS|ARGS_GET|ARGS_POST|ARGS_NAMES|ARGS_GET_NAMES|ARGS_POST_NAMES|REQUEST_HEADERS|REQUEST_COOKIES|REQUEST_COOKIES_NAMES|FILES|FILES_NAMES|MULTIPART_PART_HEADERS|XML):(.+)$/;
/** Variables that are one thing themselves. */
const WHOLE = /^(?:REQUEST_URI|REQUEST_URI_RAW|REQUEST_FILENAME|REQUEST_BASENAME|REQUEST_LINE|QUERY_STRING|REQUEST_BODY|REQUEST_PROTOCOL)$/;
/** Keys that stand in an action list as they are. */
const PLAIN_KEY = /^[\w.@*/$[\]-]+$/;

/**
 * The rules that made a transaction blocked: those that scored; where there is no scoring, the one that decided. Each rule and
 * parameter once.
 */
export function exclusionsFor(tx: BlockedTransaction, options: { readonly expires: number; readonly prefix: boolean }): Exclusion[] {
  const scored = tx.rules.filter((r) => r.scored);
  const guilty = scored.length > 0 ? scored : tx.rules.filter((r) => r.id === tx.decidedBy);
  const path = pathOf(tx.url);
  const made = new Map<string, Exclusion>();
  for (const r of guilty) {
    const target = targetOf(r.variable);
    made.set(`${r.id} ${target}`, { ruleId: r.id, message: r.message, host: tx.host, path, prefix: options.prefix, target, expires: options.expires });
  }
  return [...made.values()];
}

/** What the rule is to leave out, null when it cannot be said: counts, and values that rules made themselves. */
function targetOf(variable: string): string | null {
  if (WHOLE.test(variable)) return variable;
  const key = PARAMETER.exec(variable)?.[1];
  if (key === undefined) return null;
  if (PLAIN_KEY.test(key)) return variable;
  return `${variable.slice(0, variable.length - key.length)}/^${[...key].map(escaped).join('')}$/`;
}

/** Path of a request target in origin or absolute form. */
export function pathOf(url: string): string {
  const path = url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').split(/[?#]/, 1)[0]!;
  return path === '' ? '/' : path;
}

function escaped(c: string): string {
  return /[A-Za-z0-9_]/.test(c) ? c : [...Buffer.from(c, 'utf8')].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}

/**
 * The exclusion as rules.
 * @param id number of the rule, unique in the configuration
 * @param origin where it comes from, for the comment
 */
export function exclusionText(e: Exclusion, id: number, origin: string): string {
  const until = new Date(e.expires * 1000).toISOString().slice(0, 10);
  const control = e.target === null ? `ctl:ruleRemoveById=${e.ruleId}` : `ctl:ruleRemoveTargetById=${e.ruleId};${e.target}`;
  const where = `${e.host === '' ? 'any host' : e.host}${e.path}${e.prefix ? '*' : ''}`;
  const host = e.host === '' ? '' : `        SecRule REQUEST_HEADERS:Host "@rx ^${[...e.host].map(hostChar).join('')}(?::[0-9]+)?$" \\\n            "t:none,t:lowercase,${control}"\n`;
  return `# Rule ${e.ruleId} (${oneLine(e.message)})
# ${e.target === null ? 'is not run' : `does not look at ${e.target}`} for ${where}, until ${until}. ${oneLine(origin)}
SecRule TIME_EPOCH "@lt ${e.expires}" \\
    "id:${id},phase:1,pass,t:none,nolog,chain"
    SecRule REQUEST_FILENAME "${pathTest(e)}" \\
        "t:none,${host === '' ? control : 'chain'}"
${host}`;
}

function hostChar(c: string): string {
  return /[a-z0-9-]/.test(c) ? c : escaped(c);
}

/** Operator for the path. REQUEST_FILENAME has its escapes undone; odd characters are written so that no quoting can go wrong. */
function pathTest({ path, prefix }: Exclusion): string {
  const bytes = Buffer.from(path, 'utf8').toString('latin1').replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  if (/^[\w./~-]+$/.test(bytes)) return `${prefix ? '@beginsWith' : '@streq'} ${bytes}`;
  const pattern = [...bytes].map((c) => (/[A-Za-z0-9_/-]/.test(c) ? c : `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)).join('');
  return `@rx ^${pattern}${prefix ? '' : '$'}`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/\\$/, '');
}

const FIRST_ID = 20_000;
const LAST_ID = 89_999;

/** A rule id for an exclusion: the same for the same one, and none of `taken`. From the range that is free for local use. */
export function exclusionId(e: Exclusion, taken: ReadonlySet<number>): number {
  let hash = 0;
  for (const c of `${e.ruleId} ${e.host} ${e.path} ${e.prefix} ${e.target}`) hash = (Math.imul(hash, 31) + c.charCodeAt(0)) >>> 0;
  const span = LAST_ID - FIRST_ID + 1;
  for (let i = 0; i < span; i++) {
    const id = FIRST_ID + ((hash + i) % span);
    if (!taken.has(id)) return id;
  }
  throw new RangeError(`all rule ids from ${FIRST_ID} to ${LAST_ID} are taken`);
}
