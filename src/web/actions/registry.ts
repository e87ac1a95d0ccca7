/** The table of actions. Adding one: its file in this folder, one import and one row here. */
import { accuracy } from './accuracy.js';
import type { Action } from './action.js';
import { allow } from './allow.js';
import { auditlog } from './auditlog.js';
import { block } from './block.js';
import { capture } from './capture.js';
import { chain } from './chain.js';
import { ctl } from './ctl.js';
import { deny } from './deny.js';
import { deprecatevar } from './deprecatevar.js';
import { drop } from './drop.js';
import { expirevar } from './expirevar.js';
import { id } from './id.js';
import { initcol } from './initcol.js';
import { log } from './log.js';
import { logdata } from './logdata.js';
import { maturity } from './maturity.js';
import { msg } from './msg.js';
import { multiMatch } from './multi-match.js';
import { noauditlog } from './noauditlog.js';
import { nolog } from './nolog.js';
import { pass } from './pass.js';
import { phase } from './phase.js';
import { redirect } from './redirect.js';
import { rev } from './rev.js';
import { sanitiseArg } from './sanitise-arg.js';
import { sanitiseMatchedBytes } from './sanitise-matched-bytes.js';
import { sanitiseMatched } from './sanitise-matched.js';
import { sanitiseRequestHeader } from './sanitise-request-header.js';
import { sanitiseResponseHeader } from './sanitise-response-header.js';
import { setenv } from './setenv.js';
import { setrsc } from './setrsc.js';
import { setsid } from './setsid.js';
import { setuid } from './setuid.js';
import { setvar } from './setvar.js';
import { severity } from './severity.js';
import { skipAfter } from './skip-after.js';
import { skip } from './skip.js';
import { status } from './status.js';
import { t } from './t.js';
import { tag } from './tag.js';
import { ver } from './ver.js';

export const ACTIONS: readonly Action[] = [
  // what the rule is
  id, phase, msg, logdata, severity, tag, ver, rev, maturity, accuracy,
  // what becomes of the transaction
  pass, block, deny, drop, redirect, allow, status,
  // how it is judged
  t, capture, multiMatch, chain, skip, skipAfter,
  // what is written down
  log, nolog, auditlog, noauditlog, sanitiseArg, sanitiseMatched, sanitiseMatchedBytes, sanitiseRequestHeader, sanitiseResponseHeader,
  // what a match does
  setvar, expirevar, deprecatevar, initcol, setsid, setuid, setrsc, setenv, ctl,
];

/** Actions of ModSecurity that change nothing here: the rule is loaded, the reason is reported. */
export const IGNORED_ACTIONS: Readonly<Record<string, string>> = {
  append: 'responses are not rewritten',
  exec: 'no program is started for a match; take the event instead',
  pause: 'frames are not delayed',
  prepend: 'responses are not rewritten',
  xmlns: 'paths name elements with the prefix that stands in the document',
};

/** Actions that decide what becomes of the transaction and cannot be had on the wire: the rule is refused. */
export const REFUSED_ACTIONS: Readonly<Record<string, string>> = {
  proxy: 'requests are not sent elsewhere; use deny, drop or redirect',
};

const ALIASES: Readonly<Record<string, string>> = {
  sanitizearg: 'sanitisearg',
  sanitizematched: 'sanitisematched',
  sanitizematchedbytes: 'sanitisematchedbytes',
  sanitizerequestheader: 'sanitiserequestheader',
  sanitizeresponseheader: 'sanitiseresponseheader',
};

const BY_NAME = new Map<string, Action>();
for (const row of ACTIONS) {
  const key = row.name.toLowerCase();
  if (BY_NAME.has(key)) throw new Error(`action ${row.name} is registered twice`);
  BY_NAME.set(key, row);
}

/** The action of this name, in any case. */
export function findAction(name: string): Action | undefined {
  const key = name.toLowerCase();
  return BY_NAME.get(ALIASES[key] ?? key);
}
