#!/usr/bin/env node
/**
 * Writes docs/evasion.md: every evasion of test/evasion, told to the appliance in front of each kind of host, and what came
 * of it. Needs a build (dist/).
 *   node scripts/evasion-docs.mjs            write
 *   node scripts/evasion-docs.mjs --check    exit 1 when the file is not what would be written
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IP_EVASIONS, TCP_EVASIONS } from '../dist/test/evasion/catalogue.js';
import { HTTP_EVASIONS, KNOWN_GAPS } from '../dist/test/evasion/http-catalogue.js';
import { Lab } from '../dist/test/helpers/evasion-lab.js';
import { PERSONALITIES } from '../dist/test/helpers/end-host.js';

const file = join(dirname(fileURLToPath(import.meta.url)), '../docs/evasion.md');
const ATTACK = 'GET /etc/passwd HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x\r\n\r\n';
const HARMLESS = ATTACK.replace('passwd', 'pesswd');
/** Reasons that mean: a rule saw the attack. */
const BY_RULE = new Set(['ips_rule', 'flow_dropped']);

function tell(evasion, payload, who) {
  const lab = new Lab({ who, ...evasion.options });
  evasion.run(lab, new Uint8Array(Buffer.from(payload, 'latin1')));
  const result = { text: lab.host.text, drops: Object.keys(lab.drops), normalised: lab.session.statistics().stream.normalised > 0 };
  lab.close();
  return result;
}

function outcome(evasion) {
  const bad = PERSONALITIES.map((who) => tell(evasion, ATTACK, who));
  const good = PERSONALITIES.map((who) => tell(evasion, HARMLESS, who));
  if (bad.some((r) => r.text.includes(ATTACK))) return ['**not stopped**', ''];
  const drops = new Set(bad.flatMap((r) => r.drops));
  const how = [];
  if ([...drops].some((d) => BY_RULE.has(d))) how.push('the rule sees it');
  const refused = [...drops].filter((d) => !BY_RULE.has(d)).toSorted();
  if (refused.length > 0) how.push(`refused (${refused.map((d) => `\`${d}\``).join(', ')})`);
  if (bad.some((r) => r.normalised)) how.push('rewritten to what was inspected');
  if (how.length === 0) how.push('the host does not read it');
  return [how.join('; '), good.every((r) => r.text === HARMLESS) ? 'arrives' : (evasion.breaks ?? '**is lost**')];
}

const groups = new Map();
for (const evasion of [...TCP_EVASIONS, ...IP_EVASIONS]) {
  if (!groups.has(evasion.group)) groups.set(evasion.group, []);
  groups.get(evasion.group).push([evasion.name, ...outcome(evasion)]);
}
const tables = [...groups].map(([name, rows]) => `### ${name}\n\n| Evasion | Attack | Harmless data sent that way |\n|---|---|---|\n${rows.map((r) => `| ${r.join(' | ')} |`).join('\n')}\n`);

const text = `# Evasion

What an attacker can do to hide from an inline inspector, and what comes of it here. This page is written by
\`scripts/evasion-docs.mjs\` from the catalogue in \`test/evasion/\`, where every row is a test.

Each evasion is told to an appliance with live settings (strict connection tracking, checksums verified, prevention) between
an attacker and a model of an end host, which reassembles what was really forwarded. The model comes in five personalities
(first wins, last wins, BSD, Linux, Windows: they differ in which bytes win where segments or fragments overlap), and is
independent of the code under test. What must hold for each of them: the host never reads the whole attack, and harmless
data sent in the same manner arrives, unless no honest sender does such a thing.

## Below the application

${tables.join('\n')}
## HTTP

A request is stopped when not all of it reaches the server. Each of these was sent in one segment, in segments of 17 bytes,
and byte by byte; all are stopped:

${HTTP_EVASIONS.map((e) => `- ${e.name}`).join('\n')}

## What is not stopped

By the rules of the tests, which are like those that ship (a rule for the particular trick may well see it):

${KNOWN_GAPS.map((e) => `- ${e.name}`).join('\n')}
- DNS names in mixed case, for rules that look at \`dns.query\` without \`nocase\`

By design, or for want of something that no inspector has:

- **Encrypted traffic.** TLS is looked at up to the end of its handshake, SSH up to its key exchange.
- **Depth.** Behind \`stream.depth\` bytes (1 MiB) of one message a direction is not inspected any more; \`0\` inspects all of it. What HTTP
  clients send is followed without end. Bodies are inspected up to
  their limit (100 KiB). The bytes passed that way are counted in \`drawbridge_uninspected_bytes_total\`.
- **Pass and bypass.** What a \`pass\` rule, a \`bypass\` keyword or a Bypass rule of the firewall lets through is not looked at again.
- **Connections without a beginning.** With \`stream.midstream: true\` a connection may be picked up in the middle of an attack, and
  one that was reset or timed out here but not at its ends goes on with its first half forgotten. The default is \`false\`.
- **Tunnels.** Packets in GRE, VXLAN, Geneve, IP-in-IP and Teredo have connections of their own and are inspected, but what
  connection tracking finds wrong with them is not refused, since one direction often travels outside the tunnel. Retransmissions
  with other bytes are not delivered: the rewritten segment has a wrong checksum.
- **Two stations in league.** A reply that comes in by the originator's own port is refused. A third station that answers in the
  responder's name has to be kept from it by the address checks of its port (\`security\`), and is, where they are on.
- **Fragments behind routers.** A datagram's number counts as used for a minute after the datagram passed, for the last 16384 of
  them. Whoever completes more within that minute, and has fragments get lost between here and the host, can mix two datagrams.
- **Patterns far apart.** The contents of one rule on a plain TCP stream have to lie within about 2.5 KiB of the newest bytes.
- **Applications with their own ideas.** What a server makes of bytes only it can know: encodings of its own, double decoding,
  a parser that guesses. The same goes for files and archives.
`;

if (process.argv.includes('--check')) {
  if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
    console.error('out of date, run node scripts/evasion-docs.mjs: docs/evasion.md');
    process.exit(1);
  }
} else {
  writeFileSync(file, text);
  console.log('wrote docs/evasion.md');
}
