/**
 * The table of keywords. Adding one: its file in keywords/, one import and one row here; documentation
 * (`node scripts/keyword-docs.mjs`) and the type KeywordName follow from the row.
 */
import type { Keyword } from './keyword.js';
import { appLayerEvent, appLayerProtocol } from './keywords/app-layer.js';
import { asn1 } from './keywords/asn1.js';
import { base64Data, base64Decode } from './keywords/base64.js';
import * as buffers from './keywords/buffers.js';
import { byteExtract } from './keywords/byte-extract.js';
import { byteJump } from './keywords/byte-jump.js';
import { byteMath } from './keywords/byte-math.js';
import { byteTest } from './keywords/byte-test.js';
import { depth, distance, endswith, fastPattern, nocase, offset, rawbytes, replace, startswith, within } from './keywords/content-modifiers.js';
import * as checksums from './keywords/checksums.js';
import { content, uricontent } from './keywords/content.js';
import * as dcerpc from './keywords/dcerpc.js';
import * as dhcp from './keywords/dhcp.js';
import * as dnp3 from './keywords/dnp3.js';
import * as enip from './keywords/enip.js';
import { datarep, dataset } from './keywords/dataset.js';
import { decodeEvent, streamEvent } from './keywords/events.js';
import * as files from './keywords/files.js';
import { flowAge } from './keywords/flow-age.js';
import { flow } from './keywords/flow.js';
import { flowbits } from './keywords/flowbits.js';
import { flowint } from './keywords/flowint.js';
import { frame } from './keywords/frame.js';
import * as ftp from './keywords/ftp.js';
import * as ike from './keywords/ike.js';
import * as krb5 from './keywords/krb5.js';
import * as meta from './keywords/meta.js';
import { modbus } from './keywords/modbus.js';
import * as http2 from './keywords/http2.js';
import * as mqtt from './keywords/mqtt.js';
import * as nfs from './keywords/nfs.js';
import { flags, fragbits, fragoffset, ipopts } from './keywords/packet-flags.js';
import * as numbers from './keywords/packet-numbers.js';
import { pcre } from './keywords/pcre.js';
import { alert, bypass, config, noalert, prefilter, tag } from './keywords/post.js';
import * as rfb from './keywords/rfb.js';
import { bsize, isdataat, urilen } from './keywords/sizes.js';
import * as snmp from './keywords/snmp.js';
import { streamSize } from './keywords/stream-size.js';
import * as tlsNames from './keywords/tls-names.js';
import { tlsStore } from './keywords/tls-store.js';
import { detectionFilter, threshold } from './keywords/threshold.js';
import * as transforms from './keywords/transforms.js';
import { dnsOpcode, dnsRcode, tlsCertChainLen, tlsVersion } from './keywords/tx-numbers.js';
import { hostbits, xbits } from './keywords/xbits.js';

export const KEYWORDS = [
  // what the rule is
  meta.msg, meta.sid, meta.gid, meta.rev, meta.classtype, meta.priority, meta.metadata, meta.reference, meta.target, meta.requires,
  // contents
  content, uricontent, nocase, depth, offset, distance, within, startswith, endswith, rawbytes, fastPattern, replace,
  pcre, byteTest, byteJump, byteExtract, byteMath, isdataat, bsize, urilen, asn1, base64Decode, base64Data, dataset, datarep,
  // buffers
  buffers.pktData, buffers.fileData, buffers.fileName, buffers.fileMagic,
  buffers.httpMethod, buffers.httpUri, buffers.httpUriRaw, buffers.httpHost, buffers.httpHostRaw, buffers.httpUserAgent, buffers.httpHeader,
  buffers.httpHeaderRaw, buffers.httpHeaderNames, buffers.httpCookie, buffers.httpRequestBody, buffers.httpResponseBody,
  buffers.httpStatCode, buffers.httpStatMsg, buffers.httpRequestLine, buffers.httpResponseLine, buffers.httpProtocol, buffers.httpStart,
  buffers.httpAccept, buffers.httpAcceptEnc, buffers.httpAcceptLang, buffers.httpConnection, buffers.httpContentLen,
  buffers.httpContentType, buffers.httpReferer, buffers.httpServer, buffers.httpLocation, buffers.httpRequestHeader,
  buffers.httpResponseHeader,
  buffers.dnsQuery, buffers.sshProto, buffers.sshSoftware,
  buffers.tlsSni, buffers.tlsCertSubject, buffers.tlsCertIssuer, buffers.tlsCertSerial, buffers.tlsCertFingerprint, buffers.tlsCerts,
  buffers.tlsRandom, buffers.tlsRandomTime, buffers.tlsRandomBytes,
  buffers.ja3Hash, buffers.ja3String, buffers.ja3sHash, buffers.ja3sString, buffers.ja4Hash,
  buffers.dceStubData, buffers.smbNamedPipe, buffers.smbShare, buffers.smbUser, buffers.smbDomain,
  buffers.ipSrc, buffers.ipDst, buffers.ipv4Hdr, buffers.ipv6Hdr, buffers.tcpHdr, buffers.udpHdr, buffers.icmpv4Hdr, buffers.icmpv6Hdr,
  buffers.httpUriModifier, buffers.httpRawUriModifier, buffers.httpHeaderModifier, buffers.httpRawHeaderModifier,
  buffers.httpMethodModifier, buffers.httpCookieModifier, buffers.httpUserAgentModifier, buffers.httpHostModifier,
  buffers.httpRawHostModifier, buffers.httpStatCodeModifier, buffers.httpStatMsgModifier, buffers.httpClientBodyModifier,
  buffers.httpServerBodyModifier,
  // transforms
  transforms.dotprefix, transforms.stripWhitespace, transforms.compressWhitespace, transforms.toLowercase, transforms.toUppercase,
  transforms.toMd5, transforms.toSha1, transforms.toSha256, transforms.urlDecode, transforms.xor, transforms.pcrexform,
  transforms.headerLowercase, transforms.stripPseudoHeaders,
  // the packet
  numbers.dsize, numbers.ttl, numbers.tos, numbers.id, numbers.seq, numbers.ack, numbers.window, numbers.itype, numbers.icode,
  numbers.icmpId, numbers.icmpSeq, numbers.icmpv6Mtu, numbers.tcpMss, numbers.ipProto, numbers.sameip,
  checksums.ipv4Csum, checksums.tcpv4Csum, checksums.tcpv6Csum, checksums.udpv4Csum, checksums.udpv6Csum, checksums.icmpv4Csum, checksums.icmpv6Csum,
  flags, ipopts, fragbits, fragoffset, decodeEvent, streamEvent,
  // the flow
  flow, flowAge, flowbits, flowint, xbits, hostbits, streamSize, appLayerProtocol, appLayerEvent,
  tlsNames.tlsSubject, tlsNames.tlsIssuerdn, tlsNames.tlsFingerprint, tlsStore,
  // application protocols
  dcerpc.dcerpcIface, dcerpc.dcerpcOpnum,
  ftp.ftpdataCommand, ftp.ftpbounce,
  files.filename, files.fileext, files.filemagic, files.filesize, files.filestore, files.filemd5, files.filesha1, files.filesha256,
  frame, dnsOpcode, dnsRcode, tlsCertChainLen, tlsVersion,
  dhcp.dhcpLeasetime, dhcp.dhcpRenewalTime, dhcp.dhcpRebindingTime,
  dnp3.dnp3Func, dnp3.dnp3Ind, dnp3.dnp3Obj,
  enip.enipCommand, enip.cipService,
  ike.ikeExchtype, ike.ikeChosenSaAttribute, ike.ikeKeyExchangePayloadLength, ike.ikeNoncePayloadLength,
  krb5.krb5MsgType, krb5.krb5ErrCode, krb5.krb5TicketEncryption,
  modbus,
  http2.http2Frametype, http2.http2Errorcode, http2.http2Priority, http2.http2Window, http2.http2SizeUpdate, http2.http2Settings,
  mqtt.mqttType, mqtt.mqttQos, mqtt.mqttProtocolVersion, mqtt.mqttReasonCode, mqtt.mqttFlags, mqtt.mqttConnectFlags,
  nfs.nfsVersion, nfs.nfsProcedure,
  rfb.rfbSectype, rfb.rfbSecresult,
  snmp.snmpVersion, snmp.snmpPduType,
  // afterwards
  threshold, detectionFilter, noalert, alert, bypass, tag, prefilter, config,
] as const;

/** Every keyword by its own name (buffers of protocols can be selected beside these). */
export type KeywordName = (typeof KEYWORDS)[number]['name'];

const BY_NAME = new Map<string, Keyword>();
for (const row of KEYWORDS as readonly Keyword[]) {
  for (const name of [row.name, ...(row.aliases ?? [])]) {
    if (BY_NAME.has(name)) throw new Error(`keyword ${name} is registered twice`);
    BY_NAME.set(name, row);
  }
}

/** The keyword of this name or alias, in any case. */
export function findKeyword(name: string): Keyword | undefined {
  return BY_NAME.get(name) ?? BY_NAME.get(name.toLowerCase());
}

/** All names and aliases, sorted. */
export function keywordNames(): readonly string[] {
  return [...BY_NAME.keys()].sort();
}
