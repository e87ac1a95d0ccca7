/**
 * protocols: application parsers. In: contiguous bytes of a flow's directions (from flow's reassembly) or datagrams.
 * Out: transactions with named buffers, application-layer events and log records. One file or folder per protocol,
 * one registry; protocols are recognised by content, not by port (but for those whose content says too little). Knows no
 * rules. Entry: AppLayer (data, datagram, gap, end, settle, release); a new protocol is one row of registry.ts.
 * May import: util, packet, pipeline, flow.
 */
export type { FileObserver } from './files.js';
export { AppFile, ByteSlice, Transaction, fileOf, type BufferSpec, type FileContent } from './transaction.js';
export { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol, type Upgrade } from './parser.js';
export type { HttpExchange, HttpObserver } from './http-observer.js';
export { ProtocolRegistry, type ProtocolOptions } from './registry.js';
export { AppLayer, transactionsOf, type AppLayerStats } from './app-layer.js';
export { HttpTransaction, normaliseUri, DEFAULT_URI_OPTIONS, type Http1Options } from './http1/index.js';
export { Http2FrameType, hasFrames, type Http2Setting } from './http2/index.js';
export { TlsTransaction } from './tls/index.js';
export { DnsTransaction } from './dns/index.js';
export { SshTransaction } from './ssh.js';
export { SmtpTransaction } from './smtp/index.js';
export { FtpTransaction } from './ftp.js';
export { DceTransaction } from './dcerpc/index.js';
export { Dnp3Transaction } from './dnp3/index.js';
export { EnipTransaction, type CipService } from './enip.js';
export { IKE_ATTRIBUTES } from './ike.js';
export { Krb5Transaction } from './krb5.js';
export { ModbusAccess, ModbusCategory, ModbusTransaction } from './modbus.js';
export { MqttFlag, MqttType } from './mqtt.js';
