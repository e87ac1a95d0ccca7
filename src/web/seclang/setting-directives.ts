/** Directives that set one thing each. */
import { AuditEngine, EngineMode, LimitAction, type EngineSettings } from '../engine/settings.js';
import { byteString } from '../value.js';
import type { Directive, DirectiveContext } from './directives.js';

function setting(name: string, usage: string, help: string, set: (settings: EngineSettings, word: string, context: DirectiveContext) => void): Directive {
  return {
    name,
    words: [1, 1],
    usage,
    help,
    apply([word], context) {
      set(context.builder.settings, word!, context);
    },
  };
}

function choose<T>(word: string, choices: Readonly<Record<string, T>>): T {
  const found = Object.entries(choices).find(([name]) => name.toLowerCase() === word.toLowerCase());
  if (found === undefined) throw new Error(`'${word}' is not accepted; accepted are ${Object.keys(choices).join(', ')}`);
  return found[1];
}

const ON_OFF = { On: true, Off: false };
const REJECT_OR_PARTIAL = { Reject: LimitAction.REJECT, ProcessPartial: LimitAction.PROCESS_PARTIAL };

function integer(word: string, low: number, high: number): number {
  const value = Number(word);
  if (!/^\d+$/.test(word) || value < low || value > high) throw new Error(`'${word}' is not a number from ${low} to ${high}`);
  return value;
}

/** Hard bound of ModSecurity for bodies, in bytes. */
const MAX_BODY = 1_073_741_824;

export const SETTING_DIRECTIVES: readonly Directive[] = [
  setting('SecRuleEngine', 'On, Off or DetectionOnly', 'Whether rules are judged and whether they may block.', (s, word) => {
    s.ruleEngine = choose(word, { On: EngineMode.ON, Off: EngineMode.OFF, DetectionOnly: EngineMode.DETECTION_ONLY });
  }),
  setting('SecRequestBodyAccess', 'On or Off', 'Whether request bodies are read.', (s, word) => {
    s.requestBodyAccess = choose(word, ON_OFF);
  }),
  setting('SecRequestBodyLimit', 'bytes', 'Longest request body that is read.', (s, word) => {
    s.requestBodyLimit = integer(word, 1, MAX_BODY);
  }),
  setting('SecRequestBodyNoFilesLimit', 'bytes', 'Longest request body without its uploaded files.', (s, word) => {
    s.requestBodyNoFilesLimit = integer(word, 1, MAX_BODY);
  }),
  setting('SecRequestBodyLimitAction', 'Reject or ProcessPartial', 'What happens to a longer request body.', (s, word) => {
    s.requestBodyLimitAction = choose(word, REJECT_OR_PARTIAL);
  }),
  setting('SecRequestBodyJsonDepthLimit', 'a number', 'Deepest nesting of a JSON body.', (s, word) => {
    s.jsonDepthLimit = integer(word, 1, 1_000_000);
  }),
  setting('SecArgumentsLimit', 'a number', 'Most parameters that are read of one source.', (s, word) => {
    s.argumentsLimit = integer(word, 1, 1_000_000);
  }),
  setting('SecUploadFileLimit', 'a number', 'Most files of one multipart body.', (s, word) => {
    s.uploadFileLimit = integer(word, 1, 1_000_000);
  }),
  setting('SecResponseBodyAccess', 'On or Off', 'Whether response bodies are read.', (s, word) => {
    s.responseBodyAccess = choose(word, ON_OFF);
  }),
  {
    name: 'SecResponseBodyMimeType',
    words: [1, 1000],
    usage: 'media types',
    help: 'Media types of the responses whose bodies are read; those given add up.',
    apply(words, { builder: { settings } }) {
      settings.responseBodyMimeTypes = new Set([...settings.responseBodyMimeTypes, ...words.map((word) => word.toLowerCase())]);
    },
  },
  {
    name: 'SecResponseBodyMimeTypesClear',
    words: [0, 0],
    usage: 'nothing',
    help: 'Forget the media types given so far.',
    apply(_words, { builder: { settings } }) {
      settings.responseBodyMimeTypes = new Set();
    },
  },
  setting('SecResponseBodyLimit', 'bytes', 'Longest response body that is read.', (s, word) => {
    s.responseBodyLimit = integer(word, 1, MAX_BODY);
  }),
  setting('SecResponseBodyLimitAction', 'Reject or ProcessPartial', 'What happens to a longer response body.', (s, word) => {
    s.responseBodyLimitAction = choose(word, REJECT_OR_PARTIAL);
  }),
  setting('SecArgumentSeparator', 'one character', 'Separator of parameters in queries and forms.', (s, word) => {
    if (word.length !== 1) throw new Error(`'${word}' is not one character`);
    s.argumentSeparator = word;
  }),
  setting('SecCookieFormat', '0 or 1', 'Cookies as Netscape (0) or RFC 2109 (1) wrote them.', (s, word) => {
    s.cookieFormat = choose<0 | 1>(word, { 0: 0, 1: 1 });
  }),
  setting('SecCookieV0Separator', 'one character', 'Separator of Netscape cookies.', (s, word) => {
    if (word.length !== 1) throw new Error(`'${word}' is not one character`);
    s.cookieSeparator = word;
  }),
  {
    name: 'SecUnicodeMapFile',
    words: [1, 2],
    usage: 'a file and a code page',
    help: 'Best-fit table that urlDecodeUni maps %uXXXX through.',
    apply([name, page], { builder: { settings }, compile }) {
      const bytes = compile.readFile(name!);
      settings.unicodeMap = parseUnicodeMap(byteString(bytes, 0, bytes.length), integer(page ?? '20127', 0, 65_535));
    },
  },
  setting('SecUnicodeCodePage', 'a code page', 'Code page of SecUnicodeMapFile, in the older notation.', (_s, word) => {
    integer(word, 0, 65_535);
  }),
  setting('SecPcreMatchLimit', 'a number', 'Steps that one regular expression may take on one value.', (s, word) => {
    s.pcreMatchLimit = integer(word, 1, 1_000_000_000);
  }),
  setting('SecPcreMatchLimitRecursion', 'a number', 'Depth that one regular expression may reach on one value.', (s, word) => {
    s.pcreRecursionLimit = integer(word, 1, 1_000_000_000);
  }),
  setting('SecAuditEngine', 'On, Off or RelevantOnly', 'Which transactions are written to the audit log.', (s, word) => {
    s.auditEngine = choose(word, { On: AuditEngine.ON, Off: AuditEngine.OFF, RelevantOnly: AuditEngine.RELEVANT_ONLY });
  }),
  setting('SecAuditLogParts', 'letters', 'Parts of an entry of the audit log.', (s, word) => {
    if (!/^[A-KZ]+$/i.test(word)) throw new Error(`'${word}' is not accepted; parts are A to K and Z`);
    s.auditParts = word.toUpperCase();
  }),
  setting('SecAuditLogRelevantStatus', 'a regular expression', 'Response status that makes a transaction relevant for the audit log.', (s, word) => {
    s.auditRelevantStatus = word;
  }),
  setting('SecCollectionTimeout', 'seconds', 'How long an untouched persistent record lives.', (s, word) => {
    s.collectionTimeout = integer(word, 1, 2_592_000) * 1000;
  }),
  setting('SecParseXmlIntoArgs', 'Off', 'XML is judged through the variable XML; it makes no parameters.', (_s, word) => {
    if (word.toLowerCase() !== 'off') throw new Error(`'${word}' is not supported: XML is judged through the variable XML; write Off`);
  }),
  setting('SecWebAppId', 'a name', 'Name space of the transaction, in WEBAPPID.', (s, word) => {
    s.webAppId = word;
  }),
  setting('SecComponentSignature', 'a text', 'Name of a rule set in use.', (s, word) => {
    s.componentSignatures.push(word);
  }),
];

/**
 * The code page's section of a unicode.mapping file: lines `1252 (...)` head a page, the next lines hold `00a5:59` pairs.
 * @throws Error when the page is missing
 */
export function parseUnicodeMap(text: string, page: number): Int16Array {
  const map = new Int16Array(65_536).fill(-1);
  let inside = false;
  let pairs = 0;
  for (const line of text.split('\n')) {
    const head = /^(\d{2,5})(?:\s|$)/.exec(line);
    if (head !== null) inside = Number(head[1]) === page;
    else if (inside) {
      for (const pair of line.matchAll(/\b([0-9a-f]{4}):([0-9a-f]{2})\b/gi)) {
        map[Number.parseInt(pair[1]!, 16)] = Number.parseInt(pair[2]!, 16);
        pairs++;
      }
    }
  }
  if (pairs === 0) throw new Error(`the file has no code page ${page}`);
  return map;
}
