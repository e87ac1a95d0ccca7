/** Keywords that describe the rule. The parser reads most of them; here it is only checked that they are known. */
import { keyword, type Keyword } from '../keyword.js';
import type { OptionText } from '../option.js';

function described<const Name extends string>(name: Name, usage: string, help: string): Keyword<Name> {
  return keyword({ name, kind: 'meta', help, usage: [usage], value: 'required', parse: () => undefined });
}

export const msg = described('msg', 'msg:"text"', 'What the alert says.');
export const sid = described('sid', 'sid:n', 'Number of the rule; unique together with gid.');
export const gid = described('gid', 'gid:n', 'Group the sid belongs to, 1 unless given.');
export const rev = described('rev', 'rev:n', 'Revision; of two rules with one sid the higher is loaded.');
export const classtype = described('classtype', 'classtype:name', 'Classification; gives the priority unless one is given.');
export const priority = described('priority', 'priority:n', 'Severity of the alert, 1 is highest.');
export const metadata = described('metadata', 'metadata:key value[,key value]', 'Key and value pairs that go into the alert.');
export const reference = described('reference', 'reference:type,id', 'Where to read about what the rule finds.');
export const target = described('target', 'target:src_ip|dest_ip', 'Which side is the target of the attack.');

/** Features a rule may require of the engine; it is refused when one is missing. */
const FEATURES = ['output::file-store', 'ja3', 'ja4', 'true'];
/** Version of the rule language spoken here. */
const LANGUAGE_VERSION = [7, 0, 10] as const;

export const requires = keyword({
  name: 'requires',
  kind: 'meta',
  help: 'Loads the rule only when the engine has a feature or version (of the rule language: 7.0.10).',
  usage: ['requires:version >= 7[.n[.n]]', 'requires:feature name', 'requires:keyword name'],
  value: 'required',
  parse(draft, option: OptionText) {
    for (const arg of option.split()) {
      const match = /^(feature|keyword|version)\s*(.*)$/.exec(arg.text);
      if (match === null) option.fail(arg, 'unknown requirement', ['version', 'feature', 'keyword']);
      const what = match[2]!;
      if (match[1] === 'feature' && !FEATURES.includes(what)) option.fail(arg, 'the feature is not there', FEATURES, 'not-supported');
      if (match[1] === 'keyword' && !draft.context.hasKeyword(what)) option.fail(arg, 'the keyword is not there', [], 'not-supported');
      if (match[1] === 'version' && !versionHolds(what)) option.fail(arg, `the version does not hold (${LANGUAGE_VERSION.join('.')})`, [], 'not-supported');
    }
  },
});

/** `>= 7.0.3 < 8 | >= 8.0.1`: alternatives of conjunctions. */
function versionHolds(text: string): boolean {
  return text.split('|').some((part) => {
    const tests = [...part.matchAll(/(<=|>=|<|>)\s*(\d+(?:\.\d+){0,2})/g)];
    return tests.length > 0 && tests.every(([, operator, version]) => {
      const wanted = version!.split('.').map(Number);
      let order = 0;
      for (let i = 0; i < 3 && order === 0; i++) order = LANGUAGE_VERSION[i]! - (wanted[i] ?? 0);
      return operator === '<' ? order < 0 : operator === '>' ? order > 0 : operator === '<=' ? order <= 0 : order >= 0;
    });
  });
}
