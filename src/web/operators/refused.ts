/** Operators of ModSecurity that this engine knows and does not offer; a rule with one of them is refused with the reason. */
import type { Operator } from './operator.js';

const REASONS = {
  fuzzyHash: 'ssdeep hashes are not built in',
  gsbLookup: 'the Google Safe Browsing list in this form was discontinued',
  inspectFile: 'running scripts on uploads is not offered; scan files with the appliance instead',
  rbl: 'a name-server query would hold up traffic',
  rsub: 'content is inspected, not rewritten',
  validateDTD: 'XML is read without a document type definition, whose entities are an attack surface',
  validateHash: 'request hashes are not added to responses',
  validateSchema: 'XML schemas are not built in',
} as const;

export const REFUSED_OPERATORS: readonly Operator[] = Object.entries(REASONS).map(([name, reason]) => ({
  name,
  argument: 'optional',
  help: `Refused: ${reason}.`,
  compile: () => {
    throw new Error(reason);
  },
}));
