/**
 * Does a value run script when a page shows it? It is read as HTML in each context in which a page may put it: as text, and
 * as an attribute's value without quotes and in each kind of quotes.
 * Behaves as libinjection (https://github.com/libinjection/libinjection) does; written from its test vectors and the HTML standard.
 */
import { HtmlContext, HtmlToken, HtmlTokenizer, type HtmlContextCode } from './html5.js';
import {
  AttributeDanger, DANGEROUS_ATTRIBUTES, DANGEROUS_ATTRIBUTE_PREFIXES, DANGEROUS_TAGS, DANGEROUS_TAG_PREFIXES, DANGEROUS_URL_PREFIXES,
  type AttributeDangerCode,
} from './xss-names.js';

const html = new HtmlTokenizer();
const CONTEXTS = Object.values(HtmlContext);

export function isXss(value: string): boolean {
  // a tag needs '<', an attribute that does harm needs '='
  if (!value.includes('<') && !value.includes('=')) return false;
  return CONTEXTS.some((context) => isXssIn(value, context));
}

function isXssIn(value: string, context: HtmlContextCode): boolean {
  let attribute: AttributeDangerCode = AttributeDanger.NONE;
  html.reset(value, context);
  while (html.next()) {
    if (html.type === HtmlToken.ATTRIBUTE_VALUE) {
      if (isDangerousValue(attribute)) return true;
      attribute = AttributeDanger.NONE;
      continue;
    }
    attribute = AttributeDanger.NONE;
    switch (html.type) {
      case HtmlToken.DOCTYPE:
        return true;
      case HtmlToken.TAG_OPEN:
        if (isDangerousTag(html.text())) return true;
        break;
      case HtmlToken.ATTRIBUTE_NAME:
        attribute = dangerOf(html.text());
        break;
      case HtmlToken.COMMENT:
        if (isDangerousComment(html.text())) return true;
        break;
      default:
    }
  }
  return false;
}

function isDangerousValue(attribute: AttributeDangerCode): boolean {
  switch (attribute) {
    case AttributeDanger.NONE:
      return false;
    case AttributeDanger.URL:
      return isDangerousUrl(html.text());
    case AttributeDanger.INDIRECT:
      return dangerOf(html.text()) !== AttributeDanger.NONE;
    default:
      return true;
  }
}

/** A name as a browser that ignores NULs compares it. */
function canonical(name: string): string {
  return (name.includes('\0') ? name.replaceAll('\0', '') : name).toUpperCase();
}

function isDangerousTag(text: string): boolean {
  if (text.length < 3) return false;
  const name = canonical(text);
  return DANGEROUS_TAGS.has(name) || DANGEROUS_TAG_PREFIXES.some((prefix) => name.startsWith(prefix));
}

function dangerOf(text: string): AttributeDangerCode {
  if (text.length < 2) return AttributeDanger.NONE;
  const name = canonical(text);
  if (text.length >= 5 && (name.startsWith('ON') || DANGEROUS_ATTRIBUTE_PREFIXES.some((prefix) => name.startsWith(prefix)))) return AttributeDanger.ALWAYS;
  return DANGEROUS_ATTRIBUTES.get(name) ?? AttributeDanger.NONE;
}

function isDangerousComment(text: string): boolean {
  // a backtick ends a tag in Internet Explorer
  if (text.includes('`')) return true;
  // conditional comments, and XML declarations that bind behaviour
  if (text.length > 3 && /^(?:\[if|xml)/i.test(text)) return true;
  return text.length > 5 && /^(?:IMPORT|ENTITY)/.test(canonical(text.slice(0, MOST_NAME)));
}

/** Enough of a comment to recognise its first word with NULs in between. */
const MOST_NAME = 64;

function isDangerousUrl(text: string): boolean {
  let from = 0;
  while (from < text.length && !isVisible(text.charCodeAt(from))) from++;
  return DANGEROUS_URL_PREFIXES.some((prefix) => startsWithDecoded(text, from, prefix));
}

function isVisible(c: number): boolean {
  return c > 0x20 && c < 0x7f;
}

/** text[from..] begins with `prefix` (upper case) after numeric character references are resolved; NULs and line feeds do not count. */
function startsWithDecoded(text: string, from: number, prefix: string): boolean {
  let at = from;
  let matched = 0;
  while (at < text.length && matched < prefix.length) {
    at = decodeAt(text, at);
    if (decoded === 0 || decoded === 0x0a) continue;
    const upper = decoded >= 0x61 && decoded <= 0x7a ? decoded - 0x20 : decoded;
    if (upper !== prefix.charCodeAt(matched)) return false;
    matched++;
  }
  return matched === prefix.length;
}

/** Code point that decodeAt found. */
let decoded = 0;
const HIGHEST_CODE_POINT = 0x1000ff;

/** Resolve &#123; or &#x7b; (the semicolon may be missing) into `decoded`. @returns where the text goes on */
function decodeAt(text: string, at: number): number {
  decoded = text.charCodeAt(at);
  if (decoded !== 0x26 || text[at + 1] !== '#') return at + 1;
  const hex = (text.charCodeAt(at + 2) | 0x20) === 0x78;
  const radix = hex ? 16 : 10;
  const from = at + (hex ? 3 : 2);
  let number = 0;
  let i = from;
  for (; i < text.length; i++) {
    const digit = digitOf(text.charCodeAt(i));
    if (digit >= radix) break;
    number = number * radix + digit;
    if (number > HIGHEST_CODE_POINT) return at + 1;
  }
  if (i === from) return at + 1;
  decoded = number;
  return text[i] === ';' ? i + 1 : i;
}

function digitOf(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : 99;
}
