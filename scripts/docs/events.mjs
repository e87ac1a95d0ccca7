/**
 * docs/events.md: one real event of each type. A session on ports in memory is given three VMs, a policy, two rules and a few
 * conversations; what its event writer writes is printed. Time and seeds are fixed, so the text changes only with the code.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { built, root, table } from './markdown.mjs';

const { PcapWriter, buildArpFrame, finishIpv4, parseIp, parseMac, putEthernet, putIcmp, putIpv4, putTcp, putUdp } = await built('packet/index.js');

const CONFIG = `
vms: { web: { firewall: guarded, web: detect }, client: {}, scanner: {} }
web: { overrides: [{ name: shop, hosts: [shop.example.com], engine: on, block: page }] }
ports:
  - { name: web0, type: tap, device: web0, vm: web, mac: "52:54:00:00:00:10", security: { discovery: {} } }
  - { name: client0, type: tap, device: client0, vm: client, mac: "52:54:00:00:00:20" }
  - { name: scanner0, type: tap, device: scanner0, vm: scanner, mac: "52:54:00:00:00:66", security: { discovery: {} } }
firewall:
  policies:
    guarded:
      rules:
        - { name: services, action: allow, direction: in, protocol: tcp, destination: { port: [21, 22, 25, 80, 443] } }
        - { name: dns-server, action: allow, direction: in, protocol: udp, destination: { port: 53 } }
        - { name: no-telnet, action: deny, direction: in, protocol: tcp, destination: { port: 23 } }
        - { name: quiet, action: deny, log: false, direction: in, protocol: tcp, destination: { port: 135 } }
        - { name: watch-ssh, action: log-only, direction: in, protocol: tcp, destination: { port: 22 } }
`;

const RULES = `
drop http any any -> any any (msg:"Command injection in URI"; flow:established,to_server; http.uri; content:"/etc/passwd"; classtype:web-application-attack; reference:cve,2014-6271; metadata:created_at 2026_01_01; sid:1000001; rev:2;)
`;

const HOSTS = {
  web: { port: 0, mac: '52:54:00:00:00:10', ip: '10.0.0.10' },
  client: { port: 1, mac: '52:54:00:00:00:20', ip: '10.0.0.20' },
  scanner: { port: 2, mac: '52:54:00:00:00:66', ip: '10.0.0.66' },
};
const START = Date.UTC(2026, 0, 15, 10, 0, 0) / 1000;
const FIN = 1;
const SYN = 2;
const PSH = 8;
const ACK = 16;

/** An IPv4 frame from one host to another. */
function frame(from, to, proto, write) {
  const buf = new Uint8Array(2048);
  const s = parseMac(from.mac);
  const d = parseMac(to.mac);
  const l3 = putEthernet(buf, 0, d.hi, d.lo, s.hi, s.lo, 0x0800);
  const end = write(buf, putIpv4(buf, l3, parseIp(from.ip).words[0], parseIp(to.ip).words[0], proto, 64));
  finishIpv4(buf, l3, end);
  return buf.slice(0, end);
}

const latin1 = (text) => Uint8Array.from(text, (c) => c.charCodeAt(0));

class Stage {
  constructor(session, ports) {
    this.session = session;
    this.ports = ports;
    this.usec = 0;
    /** Every frame sent, with its time. */
    this.sent = [];
  }

  send(from, bytes) {
    this.usec += 1500;
    this.sent.push({ bytes, usec: this.usec });
    this.ports[from.port].put({ bytes, tsSec: START + Math.floor(this.usec / 1e6), tsUsec: this.usec % 1e6 });
    while (this.session.step(0) > 0);
    this.session.maintain(START + Math.floor(this.usec / 1e6));
    for (const port of this.ports) port.take();
  }

  /** Handshake, the lines in turn (those of the client begin with ">"), close. */
  talk(client, server, sport, dport, lines, closes = true) {
    let c = 1000;
    let s = 5000;
    const segment = (toServer, flags, data = new Uint8Array(0)) => {
      const [from, to] = toServer ? [client, server] : [server, client];
      const [sp, dp] = toServer ? [sport, dport] : [dport, sport];
      const [seq, ack] = toServer ? [c, s] : [s, c];
      this.send(from, frame(from, to, 6, (buf, at) => {
        const body = putTcp(buf, at, sp, dp, seq, flags & ACK ? ack : 0, flags, 64240, 0);
        buf.set(data, body);
        return body + data.length;
      }));
      const used = data.length + (flags & (SYN | FIN) ? 1 : 0);
      if (toServer) c += used;
      else s += used;
    };
    segment(true, SYN);
    segment(false, SYN | ACK);
    segment(true, ACK);
    for (const [toServer, data] of lines) {
      segment(toServer, PSH | ACK, typeof data === 'string' ? latin1(data) : data);
      segment(!toServer, ACK);
    }
    if (!closes) return;
    segment(true, FIN | ACK);
    segment(false, FIN | ACK);
    segment(true, ACK);
  }

  udp(from, to, sport, dport, data) {
    this.send(from, frame(from, to, 17, (buf, at) => {
      const body = putUdp(buf, at, sport, dport);
      buf.set(data, body);
      return body + data.length;
    }));
  }

  /** Announces that `ip` is at the host. */
  announce(from, ip) {
    const buf = new Uint8Array(64);
    const mac = parseMac(from.mac);
    const word = parseIp(ip).words[0];
    this.send(from, buf.slice(0, buildArpFrame(buf, 0, 1, mac.hi, mac.lo, word, 0, 0, word)));
  }

  syn(from, to, sport, dport) {
    this.send(from, frame(from, to, 6, (buf, at) => putTcp(buf, at, sport, dport, 77, 0, SYN, 1024, 0)));
  }
}

const be16 = (n) => [n >> 8, n & 255];
const name = (text) => [...text.split('.').flatMap((l) => [l.length, ...latin1(l)]), 0];

function dnsMessage(id, answer) {
  const question = [...name('www.example.com'), 0, 1, 0, 1];
  const records = answer ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 80] : [];
  return Uint8Array.from([...be16(id), ...(answer ? [0x81, 0x80] : [1, 0]), 0, 1, 0, answer ? 1 : 0, 0, 0, 0, 0, ...question, ...records]);
}

function clientHello() {
  const host = latin1('www.example.com');
  const sni = [0, 0, ...be16(host.length + 5), ...be16(host.length + 3), 0, ...be16(host.length), ...host];
  const versions = [0, 43, 0, 3, 2, 3, 4];
  const extensions = [...sni, ...versions];
  const hello = [3, 3, ...Array.from({ length: 32 }, (_, i) => i), 0, 0, 4, 0x13, 1, 0x13, 2, 1, 0, ...be16(extensions.length), ...extensions];
  const handshake = [1, 0, ...be16(hello.length), ...hello];
  return Uint8Array.from([22, 3, 1, ...be16(handshake.length), ...handshake]);
}

function serverHello() {
  const versions = [0, 43, 0, 2, 3, 4];
  const hello = [3, 3, ...Array.from({ length: 32 }, (_, i) => 255 - i), 0, 0x13, 1, 0, ...be16(versions.length), ...versions];
  const handshake = [2, 0, ...be16(hello.length), ...hello];
  // Everything behind a TLS 1.3 ServerHello is encrypted.
  return Uint8Array.from([22, 3, 3, ...be16(handshake.length), ...handshake, 23, 3, 3, 0, 4, 1, 2, 3, 4]);
}

function act(stage) {
  const { web, client, scanner } = HOSTS;
  stage.udp(client, web, 40000, 53, dnsMessage(4660, false));
  stage.udp(web, client, 53, 40000, dnsMessage(4660, true));
  stage.talk(client, web, 40001, 80, [
    [true, 'GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n'],
    [false, 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<h1>Hello</h1>'],
  ]);
  stage.talk(client, web, 40002, 443, [[true, clientHello()], [false, serverHello()], [true, Uint8Array.from([23, 3, 3, 0, 2, 9, 9])]]);
  stage.talk(client, web, 40003, 22, [[false, 'SSH-2.0-OpenSSH_9.2p1\r\n'], [true, 'SSH-2.0-OpenSSH_9.6\r\n']]);
  stage.talk(client, web, 40004, 25, [
    [false, '220 mail.example.com ESMTP\r\n'], [true, 'EHLO client.example.com\r\n'], [false, '250 mail.example.com\r\n'],
    [true, 'MAIL FROM:<alice@example.com>\r\n'], [false, '250 ok\r\n'], [true, 'RCPT TO:<bob@example.com>\r\n'], [false, '250 ok\r\n'],
    [true, 'DATA\r\n'], [false, '354 go on\r\n'], [true, 'Subject: hello\r\n\r\ntext\r\n.\r\n'], [false, '250 queued\r\n'], [true, 'QUIT\r\n'], [false, '221 bye\r\n'],
  ]);
  stage.talk(client, web, 40005, 21, [[false, '220 ftp ready\r\n'], [true, 'USER anonymous\r\n'], [false, '331 password please\r\n'], [true, 'PASS guest@example.com\r\n'], [false, '230 welcome\r\n']]);
  stage.talk(client, web, 40006, 80, [[true, 'GET / HTTP/1.1\r\nHost www.example.com\r\n\r\n'], [false, 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n']]);
  stage.talk(scanner, web, 50001, 80, [[true, 'GET /cgi-bin/view?file=../../../../etc/passwd HTTP/1.1\r\nHost: www.example.com\r\n\r\n']], false);
  stage.send(scanner, frame(scanner, web, 1, (buf, at) => putIcmp(buf, at, 250, 0, 0)));
  stage.talk(scanner, web, 50002, 80, [[true, 'GET /item?id=1%20UNION%20SELECT%20password%20FROM%20users-- HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n']], false);
  stage.syn(client, web, 40010, 23);
  stage.syn(client, web, 40011, 135);
  for (let port = 1; port <= 40; port++) stage.syn(scanner, web, 50100, 1000 + port);
  stage.announce(web, web.ip);
  stage.announce(scanner, web.ip);
}

/** Plays the story. @returns the frames that were sent and the events that were written */
async function record() {
  const { parseConfig } = await built('appliance/config/load.js');
  const { compileFirewall, registryOf } = await built('appliance/build.js');
  const { compileRules } = await built('appliance/rule-files.js');
  const { settingsOf } = await built('appliance/engine-settings.js');
  const { Session } = await built('appliance/session.js');
  const { EVENT_TYPES } = await built('appliance/events/eve.js');
  const { MemoryPort } = await built('vswitch/index.js');
  const { compileWeb, webModeOf } = await built('appliance/web-rules.js');
  const loaded = parseConfig('events.yaml', CONFIG);
  if (loaded.config === undefined) throw new Error(JSON.stringify(loaded.problems));
  const { config } = loaded;
  const settings = settingsOf(config);
  const registry = registryOf(settings);
  const rules = compileRules([{ file: 'events.rules', text: RULES }], registry, settings);
  if (rules.refusals.length > 0) throw new Error(JSON.stringify(rules.refusals));
  const names = Object.keys(config.vms);
  const ports = config.ports.map(() => new MemoryPort());
  const lines = [];
  const session = new Session({
    settings,
    ports: config.ports.map((p, i) => ({ config: { name: p.name, mac: p.mac, ...(p.security === undefined ? {} : { security: p.security }) }, port: ports[i], vm: names.indexOf(p.vm), ips: 'prevent', web: webModeOf(config, p.vm), failOpenEngine: false, failOpenSanity: false })),
    vmNames: names,
    vmPolicies: names.map((n) => config.vms[n].firewall ?? null),
    firewall: compileFirewall(config, loaded.yaml).policy,
    rules,
    web: compileWeb(config, loaded.webFiles, loaded.yaml, 'none').session,
    registry,
    events: { sink: { write: (line) => lines.push(line), flush() {}, close() {} }, types: new Set(EVENT_TYPES), packetSource: 'wire', host: 'host1', dropsPerSecond: 1000 },
    seed: 1,
    onEngineError: (text) => {
      throw new Error(text);
    },
  });
  const stage = new Stage(session, ports);
  act(stage);
  session.eve.stats(START + 30, 0, session.statistics());
  session.close();
  return { frames: stage.sent, events: lines.map((line) => JSON.parse(line)) };
}

let recorded;

/** Event types that have an example of their own. */
export async function eventTypes() {
  const { EVENT_TYPES, PROTOCOL_EVENTS } = await built('appliance/events/eve.js');
  return EVENT_TYPES.filter((type) => !(type in PROTOCOL_EVENTS));
}

/** The others, with what they hold. */
export async function protocolEvents() {
  const { PROTOCOL_EVENTS } = await built('appliance/events/eve.js');
  return table(['`event_type`', 'one event for'], Object.entries(PROTOCOL_EVENTS).map(([type, what]) => [`\`${type}\``, what]));
}

/** @param selector an event type, or `type key=value` to choose by a field of the object of that name */
export async function event(selector) {
  recorded ??= await record();
  const [type, condition] = selector.split(' ');
  const [key, wanted] = condition?.split('=') ?? [];
  const found = recorded.events.find((e) => e.event_type === type && (key === undefined || String(e[type]?.[key]) === wanted));
  if (found === undefined) throw new Error(`no ${selector} event among those recorded (${[...new Set(recorded.events.map((e) => e.event_type))].join(', ')})`);
  // Frame numbers belong to captures; ports in memory count theirs as well.
  delete found.pcap_cnt;
  return `\`\`\`json\n${JSON.stringify(found, null, 2)}\n\`\`\``;
}

/** What `drawbridge explain` says about the attack of the story, from a capture of it. */
export async function explain() {
  recorded ??= await record();
  const dir = mkdtempSync(join(tmpdir(), 'drawbridge-docs-'));
  try {
    const pcap = join(dir, 'traffic.pcap');
    const writer = new PcapWriter(pcap);
    for (const { bytes, usec } of recorded.frames) writer.write(bytes, 0, bytes.length, bytes.length, START + Math.floor(usec / 1e6), usec % 1e6);
    writer.close();
    writeFileSync(join(dir, 'my.rules'), RULES);
    const number = recorded.frames.findIndex(({ bytes }) => Buffer.from(bytes).includes('/etc/passwd')) + 1;
    const run = spawnSync(process.execPath, [join(root, 'bin/drawbridge'), 'explain', pcap, '--frame', String(number), '-S', join(dir, 'my.rules')], { encoding: 'utf8' });
    if (run.status !== 0) throw new Error(run.stderr);
    return `\`\`\`\n$ drawbridge explain traffic.pcap --frame ${number} -S my.rules\n${run.stdout}\`\`\``;
  } finally {
    rmSync(dir, { recursive: true });
  }
}
