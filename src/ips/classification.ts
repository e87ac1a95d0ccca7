/** classtype -> text and priority. */

export interface Classification {
  readonly text: string;
  /** 1 (highest) to 4. */
  readonly priority: number;
}

function row(text: string, priority: number): Classification {
  return { text, priority };
}

/** The classes public rule sets use, with the priorities of Suricata's classification.config. */
export const DEFAULT_CLASSES: Readonly<Record<string, Classification>> = {
  'not-suspicious': row('Not Suspicious Traffic', 3),
  unknown: row('Unknown Traffic', 3),
  'bad-unknown': row('Potentially Bad Traffic', 2),
  'attempted-recon': row('Attempted Information Leak', 2),
  'successful-recon-limited': row('Information Leak', 2),
  'successful-recon-largescale': row('Large Scale Information Leak', 2),
  'attempted-dos': row('Attempted Denial of Service', 2),
  'successful-dos': row('Denial of Service', 2),
  'attempted-user': row('Attempted User Privilege Gain', 1),
  'unsuccessful-user': row('Unsuccessful User Privilege Gain', 1),
  'successful-user': row('Successful User Privilege Gain', 1),
  'attempted-admin': row('Attempted Administrator Privilege Gain', 1),
  'successful-admin': row('Successful Administrator Privilege Gain', 1),
  'rpc-portmap-decode': row('Decode of an RPC Query', 2),
  'shellcode-detect': row('Executable code was detected', 1),
  'string-detect': row('A suspicious string was detected', 3),
  'suspicious-filename-detect': row('A suspicious filename was detected', 2),
  'suspicious-login': row('An attempted login using a suspicious username was detected', 2),
  'system-call-detect': row('A system call was detected', 2),
  'tcp-connection': row('A TCP connection was detected', 4),
  'trojan-activity': row('A Network Trojan was detected', 1),
  'unusual-client-port-connection': row('A client was using an unusual port', 2),
  'network-scan': row('Detection of a Network Scan', 3),
  'denial-of-service': row('Detection of a Denial of Service Attack', 2),
  'non-standard-protocol': row('Detection of a non-standard protocol or event', 2),
  'protocol-command-decode': row('Generic Protocol Command Decode', 3),
  'web-application-activity': row('access to a potentially vulnerable web application', 2),
  'web-application-attack': row('Web Application Attack', 1),
  'misc-activity': row('Misc activity', 3),
  'misc-attack': row('Misc Attack', 2),
  'icmp-event': row('Generic ICMP event', 3),
  'inappropriate-content': row('Inappropriate Content was Detected', 1),
  'policy-violation': row('Potential Corporate Privacy Violation', 1),
  'default-login-attempt': row('Attempt to login by a default username and password', 2),
  'targeted-activity': row('Targeted Malicious Activity was Detected', 1),
  'exploit-kit': row('Exploit Kit Activity Detected', 1),
  'external-ip-check': row('Device Retrieving External IP Address Detected', 2),
  'domain-c2': row('Domain Observed Used for C2 Detected', 1),
  pup: row('Possibly Unwanted Program Detected', 2),
  'credential-theft': row('Successful Credential Theft Detected', 1),
  'social-engineering': row('Possible Social Engineering Attempted', 2),
  'coin-mining': row('Crypto Currency Mining Activity Detected', 2),
  'command-and-control': row('Malware Command and Control Activity Detected', 1),
};

/** Severity of a rule that names neither class nor priority. */
export const DEFAULT_PRIORITY = 3;
