/** The options of a rule: `(name:value; name; ...)`, and the fields that identify it. */
import { parseDecimal } from './address.js';
import { RuleOption, type RuleIdentity, type Target } from './ast.js';
import { checkContent, openingQuote, splitQuoted, type ValueProblem } from './content.js';
import { checkPcre } from './pcre.js';
import { locate, skipBlanks, trimEnd, trimmed } from './lexer.js';
import type { ErrorReport } from './report.js';

const CLOSE_PAREN = 0x29;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

const UINT32_MAX = 0xffff_ffff;
const TARGETS: readonly Target[] = ['src_ip', 'dest_ip'];

/** How the value of a keyword is written, as far as syntax goes. */
type ValueShape = 'content' | 'pcre' | 'regex' | 'sid' | 'gid' | 'rev' | 'priority' | 'msg' | 'classtype' | 'target'
  | 'reference' | 'other';

const SHAPES: ReadonlyMap<string, ValueShape> = new Map<string, ValueShape>([
  ['content', 'content'],
  ['uricontent', 'content'],
  ['pcre', 'pcre'],
  ['pcrexform', 'regex'],
  ['sid', 'sid'],
  ['gid', 'gid'],
  ['rev', 'rev'],
  ['priority', 'priority'],
  ['msg', 'msg'],
  ['classtype', 'classtype'],
  ['target', 'target'],
  ['reference', 'reference'],
]);

interface Keyword {
  readonly name: string;
  readonly shape: ValueShape;
}

/** One string object per distinct keyword and short value: a file repeats them tens of thousands of times. Bounded. */
export class OptionCaches {
  static readonly #CAPACITY = 8192;
  static readonly #LONGEST_VALUE = 32;
  readonly #keywords = new Map<string, Keyword>();
  readonly #values = new Map<string, string>();

  keyword(name: string): Keyword {
    let keyword = this.#keywords.get(name);
    if (keyword === undefined) {
      keyword = { name, shape: SHAPES.get(name.toLowerCase()) ?? 'other' };
      if (this.#keywords.size < OptionCaches.#CAPACITY) this.#keywords.set(name, keyword);
    }
    return keyword;
  }

  value(text: string): string {
    if (text.length > OptionCaches.#LONGEST_VALUE) return text;
    const known = this.#values.get(text);
    if (known !== undefined) return known;
    if (this.#values.size < OptionCaches.#CAPACITY) this.#values.set(text, text);
    return text;
  }
}

export interface ParsedOptions {
  readonly options: readonly RuleOption[];
  readonly identity: RuleIdentity;
  /** False when no `sid` was given. */
  readonly hasSid: boolean;
}

/** Parses from the `(` at `open` to the end of the rule. Errors go to the report; what is returned then is partial. */
export function parseOptions(report: ErrorReport, open: number, caches: OptionCaches): ParsedOptions {
  const { source } = report;
  const { text } = source;
  const end = trimEnd(text, open, text.length);
  const oneLine = source.continuations.length === 0;
  const options: RuleOption[] = [];
  const identity = new IdentityBuilder(report);
  let at = open + 1;
  for (;;) {
    at = skipBlanks(text, at, end);
    if (at >= end) {
      report.add('missing-parenthesis', end, '', 'the rule ends without its closing parenthesis', [')']);
      break;
    }
    if (text.charCodeAt(at) === CLOSE_PAREN) {
      if (at + 1 < end) {
        report.add('trailing-text', skipBlanks(text, at + 1, end), trimmed(text, at + 1, end),
          'text after the closing parenthesis', ['end of line']);
      }
      break;
    }
    const semicolon = findSemicolon(text, at);
    if (semicolon < 0) {
      const stop = trimEnd(text, at, text.charCodeAt(end - 1) === CLOSE_PAREN ? end - 1 : end);
      report.add('missing-semicolon', stop, text.slice(at, stop), 'the last option is not ended by a ";"', [';']);
      break;
    }

    let nameEnd = at;
    while (nameEnd < semicolon && isNameChar(text.charCodeAt(nameEnd))) nameEnd += 1;
    const next = skipBlanks(text, nameEnd, semicolon);
    const delimiter = text.charCodeAt(next);
    if (nameEnd === at || (delimiter !== COLON && next !== semicolon)) {
      reportBadName(report, at, nameEnd, next, semicolon);
    } else {
      const keyword = caches.keyword(text.slice(at, nameEnd));
      let value: string | null = null;
      let valueAt = semicolon;
      if (delimiter === COLON) {
        valueAt = skipBlanks(text, next + 1, semicolon);
        value = caches.value(trimmed(text, valueAt, semicolon));
      }
      if (value === '') {
        report.add('missing-value', next, ':', `"${keyword.name}" has a colon but no value`, ['a value', ';']);
      } else {
        checkValue(report, identity, keyword, value, at, valueAt);
      }
      if (oneLine) {
        options.push(new RuleOption(
          keyword.name, value, source.line, source.column + at, source.offset + at, semicolon + 1 - at,
        ));
      } else {
        const place = locate(source, at);
        const length = locate(source, semicolon).offset + 1 - place.offset;
        options.push(new RuleOption(keyword.name, value, place.line, place.column, place.offset, length));
      }
    }
    at = semicolon + 1;
  }
  return { options, identity, hasSid: identity.hasSid };
}

/** Next `;` without a backslash before it: Suricata's rule, which looks neither at quotes nor at double backslashes. */
function findSemicolon(text: string, at: number): number {
  let semicolon = text.indexOf(';', at);
  while (semicolon > 0 && text.charCodeAt(semicolon - 1) === BACKSLASH) semicolon = text.indexOf(';', semicolon + 1);
  return semicolon;
}

function isNameChar(code: number): boolean {
  const lower = code | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (code >= 0x30 && code <= 0x39)
    || code === 0x5f || code === 0x2e || code === 0x2d;
}

function reportBadName(report: ErrorReport, at: number, nameEnd: number, next: number, semicolon: number): void {
  const { text } = report.source;
  if (at === semicolon) {
    report.add('bad-option-name', at, ';', 'an option is missing before this ";"', ['a keyword', ')']);
  } else if (nameEnd === at) {
    report.add('bad-option-name', at, text.slice(at, semicolon), 'a keyword has to start here',
      ['letters, digits, "_", "." and "-"', ')']);
  } else if (next > nameEnd) {
    report.add('missing-semicolon', nameEnd, text.slice(at, semicolon),
      `a ";" or ":" is missing after "${text.slice(at, Math.min(nameEnd, at + 40))}"`, [';', ':']);
  } else {
    report.add('bad-option-name', next, text.charAt(next), 'this character cannot be part of a keyword',
      ['letters, digits, "_", "." and "-"', ':', ';']);
  }
}

function checkValue(
  report: ErrorReport, identity: IdentityBuilder, keyword: Keyword, value: string | null, at: number, valueAt: number,
): void {
  const { shape } = keyword;
  if (value === null) {
    if (shape !== 'other') report.add('missing-value', at, keyword.name, `"${keyword.name}" needs a value`);
    return;
  }
  let problem: ValueProblem | null = null;
  if (shape === 'content') {
    problem = checkContent(value);
  } else if (shape === 'pcre') {
    problem = checkPcre(value);
  } else if (shape !== 'regex' && openingQuote(value) >= 0) {
    const parts = splitQuoted(value);
    if ('kind' in parts) problem = parts;
  }
  if (problem !== null) {
    report.add(problem.kind, valueAt + problem.at, problem.token, `${keyword.name}: ${problem.message}`, problem.accepted);
    return;
  }
  if (shape !== 'other') identity.set(keyword, value, at, valueAt);
}

/** Gathers the identity fields; sid, gid, rev and msg may be given once. */
class IdentityBuilder implements RuleIdentity {
  sid = 0;
  gid = 1;
  rev = 0;
  msg = '';
  classtype = '';
  priority: number | null = null;
  target: Target | null = null;
  hasSid = false;
  #seen = 0;

  constructor(readonly report: ErrorReport) {}

  set(keyword: Keyword, value: string, at: number, valueAt: number): void {
    switch (keyword.shape) {
      case 'sid':
        this.#once(keyword, at, 1);
        this.sid = this.#number(keyword, value, valueAt, 1);
        this.hasSid = true;
        break;
      case 'gid':
        this.#once(keyword, at, 2);
        this.gid = this.#number(keyword, value, valueAt, 0);
        break;
      case 'rev':
        this.#once(keyword, at, 4);
        this.rev = this.#number(keyword, value, valueAt, 0);
        break;
      case 'priority': {
        // Suricata warns of a second priority and takes the more urgent one.
        const priority = this.#number(keyword, value, valueAt, 0);
        this.priority = this.priority === null ? priority : Math.min(this.priority, priority);
        break;
      }
      case 'msg':
        this.#once(keyword, at, 8);
        this.msg = unquote(value);
        break;
      case 'classtype':
        // A second one is a warning in Suricata; which is more urgent only the classification file can tell.
        if (this.classtype === '') this.classtype = unquote(value);
        break;
      case 'target': {
        const target = TARGETS.find((name) => name === value) ?? null;
        if (target === null) {
          this.report.add('bad-value', valueAt, value, 'unknown target', TARGETS);
        } else if (this.target !== null && this.target !== target) {
          this.report.add('bad-value', valueAt, value, 'conflicting targets', [this.target]);
        }
        this.target = target;
        break;
      }
      case 'reference':
        if (!value.includes(',')) {
          this.report.add('bad-value', valueAt, value, 'a reference is a type and an identifier', ['type,id']);
        }
        break;
      default:
        break;
    }
  }

  #once(keyword: Keyword, at: number, bit: number): void {
    if ((this.#seen & bit) !== 0) {
      this.report.add('duplicate-option', at, keyword.name, `"${keyword.name}" is given twice`);
    }
    this.#seen |= bit;
  }

  #number(keyword: Keyword, value: string, valueAt: number, least: number): number {
    const number = parseDecimal(value, 10);
    if (number >= least && number <= UINT32_MAX) return number;
    const [first = ''] = value.split(/[ \t]/, 1);
    const hint = first !== value && parseDecimal(first, 10) >= 0 ? ' (is a ";" missing?)' : '';
    this.report.add('bad-number', valueAt, value, `"${keyword.name}" needs a whole number${hint}`, [`${least}..${UINT32_MAX}`]);
    return least;
  }
}

/** Text of a value: quotes removed when it has them, `\x` replaced by `x`. */
export function unquote(value: string): string {
  const open = openingQuote(value);
  let text = value;
  if (open >= 0) {
    const parts = splitQuoted(value);
    if (!('kind' in parts)) text = value.slice(parts.start, parts.end);
  }
  return text.includes('\\') ? text.replace(/\\([^])/g, '$1') : text;
}

/** Splits at commas outside quotes; items are trimmed, quotes and escapes in them stay. */
export function splitList(value: string): string[] {
  const items: string[] = [];
  let start = 0;
  let quoted = false;
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    if (code === BACKSLASH) at += 1;
    else if (code === 0x22) quoted = !quoted;
    else if (code === 0x2c && !quoted) {
      items.push(trimmed(value, start, at));
      start = at + 1;
    }
  }
  items.push(trimmed(value, start));
  return items;
}
