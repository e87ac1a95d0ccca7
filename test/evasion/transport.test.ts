/**
 * Attacks hidden below the application: segments, overlaps, decoys, handshakes, fragments, tags. What must hold for every
 * kind of host behind the appliance: it never reads the whole attack, and harmless data sent in the same manner arrives.
 */
import test from 'ava';
import { IP_EVASIONS, TCP_EVASIONS, type Evasion } from './catalogue.js';
import { PERSONALITIES } from '../helpers/end-host.js';
import { Lab } from '../helpers/evasion-lab.js';
import { latin1 } from '../helpers/wire.js';

const HTTP = { serverPort: 80, attack: 'GET /etc/passwd HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x\r\n\r\n', harmless: 'GET /etc/pesswd HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x\r\n\r\n' };
const STREAM = { serverPort: 4444, attack: 'hello there, EVIL-SHELL-MARKER, and more of it\n', harmless: 'hello there, EVIL-SHELL-MORKER, and more of it\n' };

for (const evasion of [...TCP_EVASIONS, ...IP_EVASIONS]) {
  test(`${evasion.group}: ${evasion.name}`, (t) => {
    for (const { serverPort, attack, harmless } of [HTTP, STREAM]) {
      for (const who of PERSONALITIES) {
        const bad = tell(evasion, attack, serverPort, who);
        t.false(bad.text.includes(attack), `${who} reads the attack: ${JSON.stringify(bad)}`);
        t.false(bad.text.includes('EVIL-SHELL-MARKER'), `${who} reads the marker: ${JSON.stringify(bad)}`);
        const good = tell(evasion, harmless, serverPort, who);
        if (evasion.breaks === undefined) t.is(good.text, harmless, `${who}: ${JSON.stringify(good)}`);
        for (const run of [bad, good]) {
          t.is(run.errors, 0);
          t.is(run.unaccounted, 0);
        }
      }
    }
  });
}

function tell(evasion: Evasion, payload: string, serverPort: number, who: (typeof PERSONALITIES)[number]): { text: string; drops: Record<string, number>; errors: number; unaccounted: number } {
  const lab = new Lab({ who, serverPort, ...evasion.options });
  evasion.run(lab, latin1(payload));
  const result = { text: lab.host.text, drops: lab.drops, errors: lab.errors, unaccounted: lab.unaccounted };
  lab.close();
  return result;
}
