/**
 * XML bodies: a small parser (elements, attributes, text, CDATA, predefined, numeric and internally declared entities) and the
 * part of XPath that rules use. External entities are never fetched; expansion and depth are bounded; linear in the body.
 */
import { EntryList } from '../engine/entry-list.js';
import type { ByteString } from '../value.js';
import { utf8 } from './json.js';

/** As libxml2's default. */
const MAX_DEPTH = 256;
/** Bytes that entity references may add in all. */
const MAX_EXPANSION = 65_536;
/** Bytes that one selection may yield: contents of nested elements overlap. */
const MAX_SELECTED = 1 << 22;

export interface XmlAttribute {
  readonly name: ByteString;
  readonly value: ByteString;
}

export interface XmlElement {
  readonly name: ByteString;
  readonly attributes: readonly XmlAttribute[];
  readonly children: (XmlElement | ByteString)[];
}

export interface XmlDocument {
  readonly root: XmlElement;
}

class XmlError extends Error {}

/** @returns the document, or why there is none */
export function parseXml(text: ByteString): XmlDocument | string {
  try {
    return { root: new XmlReader(text).read() };
  } catch (error) {
    if (error instanceof XmlError) return error.message;
    throw error;
  }
}

const PREDEFINED: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
const NAME = /[A-Za-z_:\x80-\xff][-\w.:\x80-\xff]*/y;
const SPACE = /[ \t\r\n]*/y;

class XmlReader {
  readonly #text: ByteString;
  readonly #entities = new Map<string, ByteString>();
  #pos = 0;
  #expanded = 0;

  constructor(text: ByteString) {
    this.#text = text.startsWith('\xef\xbb\xbf') ? text.slice(3) : text;
  }

  read(): XmlElement {
    this.#prolog();
    const top: XmlElement = { name: '', attributes: [], children: [] };
    const stack: XmlElement[] = [top];
    while (this.#pos < this.#text.length) {
      const current = stack[stack.length - 1]!;
      const open = this.#text.indexOf('<', this.#pos);
      const end = open < 0 ? this.#text.length : open;
      if (end > this.#pos) {
        const raw = this.#text.slice(this.#pos, end);
        this.#pos = end;
        if (current !== top) current.children.push(this.#decode(raw, 0));
        else if (raw.trim() !== '') this.#fail('text outside the document element');
      }
      if (open < 0) break;
      this.#markup(stack, top);
    }
    if (stack.length > 1) this.#fail(`element ${stack[stack.length - 1]!.name} is not closed`);
    const root = top.children.find((child): child is XmlElement => typeof child !== 'string');
    if (root === undefined) this.#fail('there is no document element');
    return root;
  }

  /** At a '<'. */
  #markup(stack: XmlElement[], top: XmlElement): void {
    const current = stack[stack.length - 1]!;
    if (this.#skips('<!--')) this.#through('-->');
    else if (this.#skips('<![CDATA[')) {
      const end = this.#text.indexOf(']]>', this.#pos);
      if (end < 0 || current === top) this.#fail('a CDATA section is out of place or not closed');
      current.children.push(this.#text.slice(this.#pos, end));
      this.#pos = end + 3;
    } else if (this.#skips('<?')) this.#through('?>');
    else if (this.#skips('</')) {
      const name = this.#name();
      this.#space();
      this.#take('>');
      if (current === top || current.name !== name) this.#fail(`end tag ${name} does not match`);
      stack.pop();
    } else {
      this.#pos++;
      if (current === top && top.children.length > 0) this.#fail('there is a second document element');
      const element: XmlElement = { name: this.#name(), attributes: this.#attributes(), children: [] };
      current.children.push(element);
      if (this.#skips('/>')) return;
      this.#take('>');
      if (stack.length > MAX_DEPTH) this.#fail('elements are nested too deeply');
      stack.push(element);
    }
  }

  #attributes(): XmlAttribute[] {
    const attributes: XmlAttribute[] = [];
    for (;;) {
      const before = this.#pos;
      this.#space();
      const c = this.#text[this.#pos];
      if (c === '>' || c === '/' || c === undefined) return attributes;
      if (this.#pos === before) this.#fail('white space is missing before an attribute');
      const name = this.#name();
      this.#space();
      this.#take('=');
      this.#space();
      const quote = this.#text[this.#pos];
      if (quote !== '"' && quote !== "'") this.#fail('an attribute value is not quoted');
      const end = this.#text.indexOf(quote, this.#pos + 1);
      if (end < 0) this.#fail('an attribute value is not closed');
      const raw = this.#text.slice(this.#pos + 1, end);
      if (raw.includes('<')) this.#fail('an attribute value contains <');
      this.#pos = end + 1;
      attributes.push({ name, value: this.#decode(raw, 0) });
    }
  }

  /** Declaration, comments and the document type with its internal subset. */
  #prolog(): void {
    for (;;) {
      this.#space();
      if (this.#skips('<?')) this.#through('?>');
      else if (this.#skips('<!--')) this.#through('-->');
      else if (this.#skips('<!DOCTYPE')) this.#docType();
      else return;
    }
  }

  #docType(): void {
    const text = this.#text;
    while (this.#pos < text.length) {
      const c = text[this.#pos]!;
      if (c === '>') {
        this.#pos++;
        return;
      }
      if (c === '"' || c === "'") this.#quoted();
      else if (this.#skips('<!--')) this.#through('-->');
      else if (this.#skips('<?')) this.#through('?>');
      else if (this.#skips('<!ENTITY')) this.#entity();
      else if (c === '<') {
        this.#pos++;
        while (this.#pos < text.length && text[this.#pos] !== '>') {
          if (text[this.#pos] === '"' || text[this.#pos] === "'") this.#quoted();
          else this.#pos++;
        }
        this.#take('>');
      } else this.#pos++;
    }
    this.#fail('the document type is not closed');
  }

  #entity(): void {
    this.#space();
    const parameter = this.#skips('%');
    if (parameter) this.#space();
    const name = this.#name();
    this.#space();
    const c = this.#text[this.#pos];
    if (c === '"' || c === "'") {
      const value = this.#quoted();
      if (!parameter && !this.#entities.has(name)) this.#entities.set(name, value);
    } else if (!parameter) this.#entities.set(name, '');
    while (this.#pos < this.#text.length && this.#text[this.#pos] !== '>') {
      const d = this.#text[this.#pos];
      if (d === '"' || d === "'") this.#quoted();
      else this.#pos++;
    }
    this.#take('>');
  }

  #quoted(): ByteString {
    const end = this.#text.indexOf(this.#text[this.#pos]!, this.#pos + 1);
    if (end < 0) this.#fail('a quoted text is not closed');
    const value = this.#text.slice(this.#pos + 1, end);
    this.#pos = end + 1;
    return value;
  }

  /** References replaced. */
  #decode(raw: ByteString, depth: number): ByteString {
    if (!raw.includes('&')) return raw;
    return raw.replace(/&(?:#(\d{1,8})|#x([0-9A-Fa-f]{1,8})|([^;&\s]{1,64}));?/g, (whole: string, decimal?: string, hex?: string, name?: string) => {
      if (!whole.endsWith(';')) this.#fail('a reference is not closed by a semicolon');
      if (decimal !== undefined || hex !== undefined) {
        const point = decimal === undefined ? Number.parseInt(hex!, 16) : Number(decimal);
        if (point > 0x10ffff) this.#fail('a character reference is out of range');
        return utf8(point);
      }
      const predefined = PREDEFINED[name!];
      if (predefined !== undefined) return predefined;
      const value = this.#entities.get(name!);
      if (value === undefined) this.#fail(`entity ${name} is not declared`);
      if (depth >= 8) this.#fail('entities are nested too deeply');
      this.#expanded += value.length;
      if (this.#expanded > MAX_EXPANSION) this.#fail('entities expand to too much');
      return this.#decode(value, depth + 1);
    });
  }

  #name(): ByteString {
    NAME.lastIndex = this.#pos;
    const match = NAME.exec(this.#text);
    if (match === null) this.#fail('a name is expected');
    this.#pos = NAME.lastIndex;
    return match[0];
  }

  #space(): void {
    SPACE.lastIndex = this.#pos;
    SPACE.exec(this.#text);
    this.#pos = SPACE.lastIndex;
  }

  #skips(token: string): boolean {
    if (!this.#text.startsWith(token, this.#pos)) return false;
    this.#pos += token.length;
    return true;
  }

  #take(token: string): void {
    if (!this.#skips(token)) this.#fail(`${token} is expected`);
  }

  #through(token: string): void {
    const end = this.#text.indexOf(token, this.#pos);
    if (end < 0) this.#fail(`${token} is missing`);
    this.#pos = end + token.length;
  }

  #fail(message: string): never {
    throw new XmlError(`XML: ${message} (byte ${this.#pos})`);
  }
}

interface PathStep {
  /** Reached by `//`: at any depth. */
  readonly deep: boolean;
  readonly kind: 'element' | 'attribute' | 'text';
  /** '*' = any. */
  readonly name: string;
}

const STEP = /(\/\/?)(?:(text\(\))|(@)?(\*|[A-Za-z_][\w.:-]*))/y;
const paths = new Map<string, readonly PathStep[]>();

function parsePath(selector: string): readonly PathStep[] {
  const known = paths.get(selector);
  if (known !== undefined) return known;
  const steps: PathStep[] = [];
  STEP.lastIndex = 0;
  while (STEP.lastIndex < selector.length) {
    const at = STEP.lastIndex;
    const match = STEP.exec(selector);
    if (match === null || (steps.length > 0 && steps[steps.length - 1]!.kind !== 'element')) {
      throw new Error(`XPath '${selector}' at '${selector.slice(at)}': accepted are steps /name, //name, /*, @name, @* and text()`);
    }
    steps.push({ deep: match[1] === '//', kind: match[2] !== undefined ? 'text' : match[3] !== undefined ? 'attribute' : 'element', name: match[4] ?? '*' });
  }
  if (steps.length === 0) throw new Error(`XPath is missing: accepted are steps /name, //name, /*, @name, @* and text()`);
  paths.set(selector, steps);
  return steps;
}

/** @throws Error when the selector is outside the supported part of XPath */
export function checkPath(selector: string): void {
  parsePath(selector);
}

/** Contents of what the path selects, each named by the path. */
export function selectXml(document: XmlDocument | null, selector: string): EntryList {
  const list = new EntryList();
  if (document === null) return list;
  const steps = parsePath(selector);
  const last = steps[steps.length - 1]!;
  let nodes: XmlElement[] = [{ name: '', attributes: [], children: [document.root] }];
  for (const step of steps) {
    if (step.kind === 'element') nodes = elements(nodes, step);
    else if (step.deep) nodes = [...new Set([...nodes, ...elements(nodes, { deep: true, kind: 'element', name: '*' })])];
  }
  let room = MAX_SELECTED;
  for (const node of nodes) {
    if (room <= 0) break;
    for (const value of contents(node, last, room)) {
      list.add(selector, value);
      room -= value.length + 1;
    }
  }
  return list;
}

function elements(nodes: readonly XmlElement[], step: PathStep): XmlElement[] {
  const found = new Set<XmlElement>();
  const seen = new Set<XmlElement>();
  const walk = [...nodes].reverse();
  while (walk.length > 0) {
    const node = walk.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    for (const child of node.children) {
      if (typeof child === 'string') continue;
      if (step.name === '*' || step.name === child.name) found.add(child);
    }
    if (step.deep) for (let i = node.children.length - 1; i >= 0; i--) {
      const child = node.children[i]!;
      if (typeof child !== 'string') walk.push(child);
    }
  }
  return [...found];
}

function contents(node: XmlElement, step: PathStep, room: number): ByteString[] {
  if (step.kind === 'attribute') return node.attributes.filter((a) => step.name === '*' || a.name === step.name).map((a) => a.value);
  if (step.kind === 'text') return node.children.filter((child): child is ByteString => typeof child === 'string');
  let text = '';
  const walk: (XmlElement | ByteString)[] = [node];
  while (walk.length > 0 && text.length <= room) {
    const next = walk.pop()!;
    if (typeof next === 'string') text += next;
    else for (let i = next.children.length - 1; i >= 0; i--) walk.push(next.children[i]!);
  }
  return [text];
}
