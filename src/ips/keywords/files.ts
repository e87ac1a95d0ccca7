/** Keywords about transferred files. All of a rule look at one and the same file. */
import { fileOf, type AppFile, type Transaction } from '../../protocols/index.js';
import { fromHex } from '../../util/index.js';
import type { RuleDraft } from '../draft.js';
import { keyword, type Keyword } from '../keyword.js';
import { LOWER, Needle } from '../match/search.js';
import { TxMatch, TxOutcome } from '../match/match.js';
import { Compare, parseNumberTest, type Arg, type NumberTest, type OptionText } from '../option.js';

/** One test of a file. */
abstract class FileTest {
  /** @param done nothing more of the file will come. @returns TxOutcome */
  abstract evaluate(file: AppFile, done: boolean): number;
}

/** Files of a transaction that are looked at. */
const MAX_FILES = 1024;

/** The tests of a rule: some file has to pass all of them. */
class FileMatch extends TxMatch {
  readonly tests: FileTest[] = [];
  store = false;

  override evaluate(tx: Transaction, dir: number, done: boolean): number {
    let outcome: number = done ? TxOutcome.NO : TxOutcome.LATER;
    for (let index = 0; index < MAX_FILES; index++) {
      const file = fileOf(tx, dir, index);
      if (file === null) break;
      const answer = this.#file(file, done);
      if (answer === TxOutcome.YES) {
        if (this.store) file.store = true;
        outcome = TxOutcome.YES;
        if (!this.store) return outcome;
      }
    }
    return outcome;
  }

  #file(file: AppFile, done: boolean): number {
    let outcome: number = TxOutcome.YES;
    for (let i = 0; i < this.tests.length; i++) {
      const answer = this.tests[i]!.evaluate(file, done || file.content.complete);
      if (answer === TxOutcome.NO) return TxOutcome.NO;
      if (answer === TxOutcome.LATER) outcome = TxOutcome.LATER;
    }
    return outcome;
  }
}

function matchOf(draft: RuleDraft): FileMatch {
  let match = draft.txMatches.find((candidate) => candidate instanceof FileMatch);
  if (match === undefined) {
    match = new FileMatch();
    draft.txMatches.push(match);
    draft.needsFiles = true;
    draft.perPacket = true;
  }
  return match;
}

/** `!"text"`: the text without its quotes, and whether it is negated. */
function quoted(option: OptionText): { negated: boolean; arg: Arg } {
  const match = /^\s*(!?)\s*(?:"(.*)"|(.*?))\s*$/s.exec(option.value)!;
  const text = match[2] ?? match[3] ?? '';
  if (text === '') option.fail(option.whole(), 'the text is missing', [`${option.name}:"text"`]);
  return { negated: match[1] === '!', arg: { text, at: option.value.indexOf(text) } };
}

class NameTest extends FileTest {
  readonly #needle: Needle;

  constructor(
    text: string,
    readonly negated: boolean,
    /** The name has to end with it, behind a dot. */
    readonly extension: boolean,
  ) {
    super();
    const bytes = new Uint8Array(Buffer.from(extension ? `.${text}` : text, 'latin1'));
    this.#needle = new Needle(bytes.map((byte) => LOWER[byte]!), true);
  }

  evaluate({ name }: AppFile): number {
    if (name.length === 0) return TxOutcome.NO;
    const from = this.extension ? Math.max(0, name.length - this.#needle.bytes.length) : 0;
    const is = this.#needle.find(name, from, name.length) >= 0;
    return is !== this.negated ? TxOutcome.YES : TxOutcome.NO;
  }
}

class MagicTest extends FileTest {
  readonly #needle: Needle;

  constructor(
    text: string,
    readonly negated: boolean,
  ) {
    super();
    this.#needle = new Needle(new Uint8Array(Buffer.from(text, 'latin1')).map((byte) => LOWER[byte]!), true);
  }

  evaluate(file: AppFile, done: boolean): number {
    const magic = file.magic();
    if (magic === null) return done ? TxOutcome.NO : TxOutcome.LATER;
    const is = this.#needle.find(magic, 0, magic.length) >= 0;
    if (is !== this.negated) return TxOutcome.YES;
    return done ? TxOutcome.NO : TxOutcome.LATER;
  }
}

class SizeTest extends FileTest {
  constructor(readonly test: NumberTest) {
    super();
  }

  /** Of a file that was cut off only the least size is known. */
  evaluate({ content }: AppFile, done: boolean): number {
    if (content.complete) return this.test.matches(content.total) ? TxOutcome.YES : TxOutcome.NO;
    if (!done) return TxOutcome.LATER;
    return (this.test.mode === Compare.GT || this.test.mode === Compare.GE) && this.test.matches(content.total) ? TxOutcome.YES : TxOutcome.NO;
  }
}

type Algorithm = 'md5' | 'sha1' | 'sha256';

class DigestTest extends FileTest {
  constructor(
    readonly algorithm: Algorithm,
    readonly digests: ReadonlySet<string>,
    readonly negated: boolean,
  ) {
    super();
  }

  evaluate(file: AppFile, done: boolean): number {
    const digest = file.digest(this.algorithm);
    if (digest === null) return done ? TxOutcome.NO : TxOutcome.LATER;
    return this.digests.has(Buffer.from(digest).toString('latin1')) !== this.negated ? TxOutcome.YES : TxOutcome.NO;
  }
}

function named<const Name extends string>(name: Name, help: string, extension: boolean): Keyword<Name> {
  return keyword({
    name,
    kind: 'transaction',
    help,
    usage: [`${name}:"text"`, `${name}:!"text"`],
    value: 'required',
    parse(draft, option) {
      const { negated, arg } = quoted(option);
      matchOf(draft).tests.push(new NameTest(arg.text, negated, extension));
    },
  });
}

export const filename = named('filename', 'The name of a transferred file contains this text, in any case.', false);
export const fileext = named('fileext', 'The name of a transferred file ends with a dot and this text, in any case.', true);

export const filemagic = keyword({
  name: 'filemagic',
  kind: 'transaction',
  help: 'The kind of a transferred file, in the words of file(1), contains this text, in any case.',
  usage: ['filemagic:"PDF"', 'filemagic:!"PE32"'],
  value: 'required',
  parse(draft, option) {
    const { negated, arg } = quoted(option);
    matchOf(draft).tests.push(new MagicTest(arg.text, negated));
  },
});

export const filesize = keyword({
  name: 'filesize',
  kind: 'transaction',
  help: 'Size of a transferred file in bytes, once it is complete.',
  usage: ['filesize:n', 'filesize:<n', 'filesize:>n', 'filesize:low<>high'],
  value: 'required',
  parse(draft, option) {
    matchOf(draft).tests.push(new SizeTest(parseNumberTest(option, option.unquoted(), 0, Number.MAX_SAFE_INTEGER)));
  },
});

const DIRECTIONS = ['request', 'to_server', 'response', 'to_client', 'both'];
const SCOPES = ['file', 'tx', 'ssn', 'flow'];

export const filestore = keyword({
  name: 'filestore',
  kind: 'transaction',
  help: 'Marks the transferred file for whoever keeps files; matches when there is one.',
  usage: ['filestore', 'filestore:request|response|both,file|tx|ssn'],
  value: 'optional',
  parse(draft, option) {
    const [direction, scope, ...more] = option.split();
    if (direction !== undefined && !DIRECTIONS.includes(direction.text)) option.fail(direction, 'unknown direction', DIRECTIONS);
    if (scope !== undefined && !SCOPES.includes(scope.text)) option.fail(scope, 'unknown scope', SCOPES);
    if (more.length > 0) option.fail(more[0]!, 'unknown option', ['direction,scope']);
    matchOf(draft).store = true;
  },
});

const HEX_DIGITS: Readonly<Record<Algorithm, number>> = { md5: 32, sha1: 40, sha256: 64 };

function digestList<const Name extends string>(name: Name, algorithm: Algorithm): Keyword<Name> {
  return keyword({
    name,
    kind: 'transaction',
    help: `The ${algorithm.toUpperCase()} of a transferred file is in a list, one in hex per line; known for files up to the inspection limit.`,
    usage: [`${name}:file`, `${name}:!file`],
    value: 'required',
    parse(draft, option) {
      const { negated, arg } = quoted(option);
      const data = draft.context.readFile(arg.text, draft.rule.source.file) ?? option.fail(arg, 'the file cannot be read', ['a path, relative to the rule file']);
      const digests = new Set<string>();
      const pattern = new RegExp(`^[0-9a-f]{${HEX_DIGITS[algorithm]}}`, 'i');
      for (const line of Buffer.from(data).toString('latin1').split('\n')) {
        const hex = pattern.exec(line.trim());
        if (hex !== null) digests.add(Buffer.from(fromHex(hex[0])).toString('latin1'));
      }
      matchOf(draft).tests.push(new DigestTest(algorithm, digests, negated));
    },
  });
}

export const filemd5 = digestList('filemd5', 'md5');
export const filesha1 = digestList('filesha1', 'sha1');
export const filesha256 = digestList('filesha256', 'sha256');
