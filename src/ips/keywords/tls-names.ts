/** The old keywords about the names of a TLS certificate: one text that the buffer has to contain, or to be. */
import type { RuleDraft } from '../draft.js';
import { keyword, type Keyword } from '../keyword.js';
import { ContentStep } from '../match/step.js';
import type { OptionText } from '../option.js';

function certificateText<const Name extends string>(name: Name, aliases: readonly string[], buffer: string, what: string, whole: boolean): Keyword<Name> {
  return keyword({
    name,
    aliases,
    kind: 'content',
    help: `The certificate's ${what} ${whole ? 'is' : 'contains'} this text, the old way to write ${buffer}; with ! ${whole ? 'is not' : 'does not'}.`,
    usage: [`${name}:"text"`, `${name}:!"text"`],
    value: 'required',
    parse(draft: RuleDraft, option: OptionText) {
      const match = /^\s*(!?)\s*"?(.*?)"?\s*$/s.exec(option.value)!;
      // Fingerprints are written in small letters, whatever the rule does.
      const text = whole ? match[2]!.toLowerCase() : match[2]!;
      if (text === '') option.fail(option.whole(), 'the text is missing', [`${name}:"text"`]);
      const step = new ContentStep(Buffer.from(text, 'latin1'));
      step.negated = match[1] === '!';
      if (whole) {
        step.hasDepth = true;
        step.depth = text.length;
        step.endsWith = true;
      }
      draft.bufferNamed(option, buffer).steps.push(step);
    },
  });
}

export const tlsSubject = certificateText('tls.subject', [], 'tls.cert_subject', 'subject', false);
export const tlsIssuerdn = certificateText('tls.issuerdn', [], 'tls.cert_issuer', 'issuer', false);
export const tlsFingerprint = certificateText('tls.fingerprint', [], 'tls.cert_fingerprint', 'SHA-1 fingerprint', true);
