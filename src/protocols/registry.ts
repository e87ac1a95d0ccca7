/** The one table of application protocols. Adding a protocol is adding a row here and its file or folder. */
import { DCERPC_TCP, DCERPC_UDP } from './dcerpc/index.js';
import { DHCP_PROTOCOL } from './dhcp.js';
import { DNP3_PROTOCOL } from './dnp3/index.js';
import { DNS_TCP, DNS_UDP } from './dns/index.js';
import { ENIP_TCP, ENIP_UDP } from './enip.js';
import { FTP_DATA_PROTOCOL } from './ftp-data.js';
import { FTP_PROTOCOL } from './ftp.js';
import { http1Protocol, type Http1Options } from './http1/index.js';
import { http2Protocol } from './http2/index.js';
import { IKE_PROTOCOL } from './ike.js';
import { KRB5_TCP, KRB5_UDP } from './krb5.js';
import { MODBUS_PROTOCOL } from './modbus.js';
import { MQTT_PROTOCOL } from './mqtt.js';
import { NFS_TCP, NFS_UDP } from './nfs/index.js';
import type { AppProtocol } from './parser.js';
import { PGSQL_PROTOCOL } from './pgsql.js';
import { QUIC_PROTOCOL } from './quic/index.js';
import { RDP_PROTOCOL } from './rdp.js';
import { RFB_PROTOCOL } from './rfb.js';
import { SIP_PROTOCOL } from './sip.js';
import { SMB_PROTOCOL } from './smb/index.js';
import { SMTP_PROTOCOL } from './smtp/index.js';
import { SNMP_PROTOCOL } from './snmp.js';
import { SSH_PROTOCOL } from './ssh.js';
import { TELNET_PROTOCOL } from './telnet.js';
import { TFTP_PROTOCOL } from './tftp.js';
import { TLS } from './tls/index.js';

export interface ProtocolOptions {
  readonly http1?: Partial<Http1Options>;
  /** Ports a protocol is looked for on, by protocol name, in place of its own (detection-ports). */
  readonly ports?: Readonly<Record<string, readonly number[]>>;
  /** Protocols that are not looked for. */
  readonly disabled?: readonly string[];
}

/** Protocol ids are positions in the table plus one; 0 means unknown. Ids hold for one process run only. */
export class ProtocolRegistry {
  readonly protocols: readonly AppProtocol[];
  readonly #byName = new Map<string, number>();
  readonly tcp: readonly number[];
  readonly udp: readonly number[];

  constructor(options: ProtocolOptions = {}) {
    const rows: AppProtocol[] = [
      http1Protocol(options.http1), TLS, SSH_PROTOCOL, SMTP_PROTOCOL, FTP_PROTOCOL, FTP_DATA_PROTOCOL, DNS_UDP, DNS_TCP,
      SMB_PROTOCOL, DCERPC_TCP, DCERPC_UDP, RFB_PROTOCOL, MQTT_PROTOCOL, RDP_PROTOCOL, KRB5_TCP, KRB5_UDP, TELNET_PROTOCOL, PGSQL_PROTOCOL, NFS_TCP, NFS_UDP, MODBUS_PROTOCOL, DNP3_PROTOCOL, ENIP_TCP, ENIP_UDP,
      QUIC_PROTOCOL, SIP_PROTOCOL, DHCP_PROTOCOL, SNMP_PROTOCOL, TFTP_PROTOCOL, IKE_PROTOCOL,
      http2Protocol(options.http1),
    ];
    this.protocols = rows
      .filter((row) => !options.disabled?.includes(row.name))
      .map((row) => {
        const ports = options.ports?.[row.name];
        return ports === undefined ? row : { ...row, ports };
      });
    // a protocol with a row per transport is known by its first row
    for (let id = this.protocols.length; id > 0; id--) this.#byName.set(this.protocols[id - 1]!.name, id);
    this.tcp = this.#ids('tcp');
    this.udp = this.#ids('udp');
  }

  #ids(transport: 'tcp' | 'udp'): number[] {
    return this.protocols.flatMap((row, index) => (row.transports.includes(transport) ? [index + 1] : []));
  }

  /** @param id 1..n */
  get(id: number): AppProtocol {
    return this.protocols[id - 1]!;
  }

  /** Id of a protocol as rule headers name it, 0 when there is none. */
  idOf(name: string): number {
    return this.#byName.get(name) ?? 0;
  }
}
