/**
 * Published vectors for the parts of the web engine: ModSecurity's operators and transformations (JSON files) and
 * libinjection's tokenisers (text files). Used by conformance.mjs and by the unit tests' authors; needs a built tree.
 *
 *   node scripts/web-vectors.mjs [DIRECTORY]    print every vector that fails, and the counts
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const web = (path) => import(pathToFileURL(join(root, 'dist/src/web', path)).href);

/** @returns { total, failures: string[] } of all vectors below `directory` */
export async function runSeclangVectors(directory) {
  const { findTransformation } = await web('transformations/registry.js');
  const { findOperator } = await web('operators/registry.js');
  const { MatchState } = await web('operators/operator.js');
  const tally = { total: 0, failures: [] };
  const fail = (file, vector, got) => tally.failures.push(`${file}: ${JSON.stringify(vector)} gave ${JSON.stringify(got)}`);
  forEachVector(join(directory, 'transformations'), (file, vector) => {
    tally.total++;
    const transform = findTransformation(vector.name)?.create({ unicodeMap: null });
    const got = transform?.(vectorBytes(vector.input));
    if (got !== vectorBytes(vector.output)) fail(file, vector, got);
  });
  const context = { readFile: (name) => readFileSync(join(directory, 'operators/op', name.split('/').at(-1))), pcreMatchLimit: 0, pcreRecursionLimit: 0, lookups: {} };
  const state = new MatchState();
  forEachVector(join(directory, 'operators'), (file, vector) => {
    tally.total++;
    const got = matchOf(findOperator(vector.name), vector, context, state);
    if (got.ret !== vector.ret) fail(file, vector, got);
    else if (vector.re_groups?.some((group, i) => got.groups?.[i] !== vectorBytes(group))) fail(file, vector, got);
  });
  return tally;
}

function forEachVector(directory, judge) {
  for (const file of readdirSync(directory).filter((name) => name.endsWith('.json')).sort()) {
    for (const vector of JSON.parse(readFileSync(join(directory, file), 'utf8'))) judge(file, vector);
  }
}

function matchOf(operator, vector, context, state) {
  let compiled;
  try {
    compiled = operator.compile(utf8(vector.param ?? ''), context);
  } catch (error) {
    // The vectors' own runner asks an operator that could not be set up as well: it matches nothing.
    return { ret: 0, refused: String(error) };
  }
  state.reset(true);
  // The operators' inputs write NUL as \0, too.
  const ret = Number(compiled.match(vectorBytes(vector.input.replaceAll('\\0', '\0')), state));
  return { ret, groups: state.captures.slice(0, state.captureCount) };
}

function utf8(text) {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Text of a vector as a byte string: UTF-8, in which \xHH and \u00HH stand for bytes. */
function vectorBytes(text) {
  return utf8(text).replace(/\\x([0-9a-zA-Z]{2})|\\u([0-9a-zA-Z]{4})/g, (_, x, u) => String.fromCharCode((Number.parseInt(x ?? u, 16) || 0) & 0xff));
}

/** @returns { total, failures } of libinjection's vectors below `directory` */
export async function runLibinjectionVectors(directory) {
  const { SqlTokenizer } = await web('libinjection/sqli-tokenizer.js');
  const { SqlFolder } = await web('libinjection/sqli-folder.js');
  const { SqlToken } = await web('libinjection/sqli-token.js');
  const { sqlInjection } = await web('libinjection/sqli.js');
  const { HtmlToken, HtmlTokenizer } = await web('libinjection/html5.js');
  const { isXss } = await web('libinjection/xss.js');

  function* tokens(input) {
    const tokenizer = new SqlTokenizer();
    tokenizer.start(input, '', false);
    for (let token = new SqlToken(); tokenizer.next(token); token = new SqlToken()) yield printed(token);
  }
  function folded(input) {
    const tokenizer = new SqlTokenizer();
    tokenizer.start(input, '', false);
    const folder = new SqlFolder(tokenizer);
    const count = folder.fold();
    return folder.tokens.slice(0, count).map(printed);
  }
  const htmlNames = {
    [HtmlToken.TEXT]: 'DATA_TEXT',
    [HtmlToken.TAG_OPEN]: 'TAG_NAME_OPEN',
    [HtmlToken.TAG_OPEN_END]: 'TAG_NAME_CLOSE',
    [HtmlToken.SELF_CLOSE]: 'TAG_NAME_SELFCLOSE',
    [HtmlToken.TAG_CLOSE]: 'TAG_CLOSE',
    [HtmlToken.ATTRIBUTE_NAME]: 'ATTR_NAME',
    [HtmlToken.ATTRIBUTE_VALUE]: 'ATTR_VALUE',
    [HtmlToken.COMMENT]: 'TAG_COMMENT',
    [HtmlToken.DOCTYPE]: 'DOCTYPE',
  };
  function html(input) {
    const tokenizer = new HtmlTokenizer();
    tokenizer.reset(input, 0);
    const lines = [];
    while (tokenizer.next()) lines.push(`${htmlNames[tokenizer.type]},${tokenizer.end - tokenizer.start},${tokenizer.text()}`);
    return lines;
  }
  const families = [
    [/^test-tokens/, (input) => [...tokens(input)].join('\n')],
    [/^test-folding/, (input) => folded(input).join('\n')],
    [/^test-sqli/, (input) => sqlInjection(input)],
    [/^test-html5/, (input) => html(input).join('\n')],
    [/^test-xss/, (input) => String(Number(isXss(input)))],
  ];

  const tally = { total: 0, failures: [] };
  const vectors = join(directory, 'vectors');
  for (const file of readdirSync(vectors).filter((name) => name.endsWith('.txt')).sort()) {
    const parts = /--INPUT--\n([\s\S]*?)--EXPECTED--\n([\s\S]*)/.exec(readFileSync(join(vectors, file), 'latin1'));
    tally.total++;
    const run = families.find(([pattern]) => pattern.test(file))?.[1];
    const got = parts === null ? undefined : run?.(parts[1].trim());
    if (got === undefined || got.trim() !== parts[2].trim()) tally.failures.push(`${file}: ${JSON.stringify(parts?.[1])} gave ${JSON.stringify(got)}, not ${JSON.stringify(parts?.[2])}`);
  }
  return tally;
}

/** A token as libinjection's own driver prints it. */
function printed({ type, text, open, close, signs }) {
  const quoted = type === 's'.charCodeAt(0) || type === 'v'.charCodeAt(0);
  return `${String.fromCharCode(type)} ${'@'.repeat(signs)}${quoted ? open + text + close : text}`;
}

/** Both suites as figures for the baseline; suites that are not there are left out. */
export async function webFigures(suite, report) {
  const figures = {};
  for (const [name, folder, run] of [
    ['seclang_vectors', 'seclang-vectors', runSeclangVectors],
    ['libinjection_vectors', 'libinjection', runLibinjectionVectors],
  ]) {
    const directory = join(suite, folder);
    if (!existsSync(directory)) continue;
    const { total, failures } = await run(directory);
    for (const text of failures) report(`${name}: ${text}`);
    report(`${name}: ${total - failures.length} of ${total}`);
    figures[name] = total - failures.length;
  }
  return figures;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const suite = process.argv[2] ?? process.env.DRAWBRIDGE_CONFORMANCE ?? join(root, '../shared/conformance');
  await webFigures(suite, (text) => console.log(text));
}
