/** What in HTML runs script: elements, attributes, event handlers and URL schemes. */

/** What an attribute's value can do. */
export const AttributeDanger = {
  NONE: 0,
  /** The attribute alone is an attack. */
  ALWAYS: 1,
  /** The value is a URL. */
  URL: 2,
  /** The value is style. */
  STYLE: 3,
  /** The value names another attribute (SVG animation). */
  INDIRECT: 4,
} as const;
export type AttributeDangerCode = (typeof AttributeDanger)[keyof typeof AttributeDanger];

/** Elements that run script, load other documents or change how the page is read. */
export const DANGEROUS_TAGS: ReadonlySet<string> = new Set(
  ('APPLET BASE COMMENT EMBED FRAME FRAMESET HANDLER IFRAME IMPORT ISINDEX LINK LISTENER META NOSCRIPT OBJECT SCRIPT STYLE VMLFRAME XML XSS').split(' '),
);

/** Whatever begins so belongs to SVG or XSLT, both of which can hold script. */
export const DANGEROUS_TAG_PREFIXES = ['SVG', 'XSL'] as const;

export const DANGEROUS_ATTRIBUTES: ReadonlyMap<string, AttributeDangerCode> = new Map<string, AttributeDangerCode>([
  ['ACTION', AttributeDanger.URL],
  ['ATTRIBUTENAME', AttributeDanger.INDIRECT],
  ['BACKGROUND', AttributeDanger.URL],
  ['BY', AttributeDanger.URL],
  ['DATAFORMATAS', AttributeDanger.ALWAYS],
  ['DATASRC', AttributeDanger.ALWAYS],
  ['DYNSRC', AttributeDanger.URL],
  ['FILTER', AttributeDanger.STYLE],
  ['FOLDER', AttributeDanger.URL],
  ['FORMACTION', AttributeDanger.URL],
  ['FROM', AttributeDanger.URL],
  ['HANDLER', AttributeDanger.URL],
  ['HREF', AttributeDanger.URL],
  ['LOWSRC', AttributeDanger.URL],
  ['POSTER', AttributeDanger.URL],
  ['SRC', AttributeDanger.URL],
  ['STYLE', AttributeDanger.STYLE],
  ['TO', AttributeDanger.URL],
  ['VALUES', AttributeDanger.URL],
  ['XLINK:HREF', AttributeDanger.URL],
]);

/** Namespaces make elements of any name dangerous. */
export const DANGEROUS_ATTRIBUTE_PREFIXES = ['XMLNS', 'XLINK'] as const;

/** Begin of URLs that run or hold script; JAVA stands for javascript: however it is interrupted. */
export const DANGEROUS_URL_PREFIXES = ['DATA', 'VIEW-SOURCE', 'JAVA', 'VBSCRIPT'] as const;
