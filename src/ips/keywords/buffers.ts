/**
 * Sticky buffers and the legacy modifiers. A buffer named like the keyword needs no row: whatever the protocol registry
 * offers can be selected by name. Rows are for buffers with other names, for modifiers of a content, and for the packet.
 */
import { keyword, type Keyword } from '../keyword.js';

/** What the contents that follow look at. */
function sticky<const Name extends string>(name: Name, help: string, aliases: readonly string[] = [], buffer: string = name): Keyword<Name> {
  return keyword({
    name,
    aliases,
    kind: 'buffer',
    help,
    usage: [name],
    value: 'none',
    parse: (draft, option) => draft.select(option, buffer),
  });
}

/** The content before it is looked for in the buffer, the way Snort 2 wrote it. */
function modifier<const Name extends string>(name: Name, buffer: string): Keyword<Name> {
  return keyword({
    name,
    kind: 'modifier',
    help: `Moves the content before it to ${buffer}.`,
    usage: [`content:"text"; ${name}`],
    value: 'none',
    parse: (draft, option) => draft.moveContent(option, buffer),
  });
}

export const pktData = keyword({
  name: 'pkt_data',
  kind: 'buffer',
  help: 'Back to the payload of the packet or stream.',
  usage: ['pkt_data'],
  value: 'none',
  parse: (draft) => draft.selectPayload(),
});

export const fileData = sticky('file.data', 'Content of transferred files: HTTP bodies, mail attachments, SMB files.', ['file_data']);
export const fileName = sticky('file.name', 'Name of a transferred file.');
export const fileMagic = sticky('file.magic', 'Kind of a transferred file in the words of file(1).');
export const httpMethod = sticky('http.method', 'Method of an HTTP request.');
export const httpUri = sticky('http.uri', 'Normalised URI of an HTTP request.');
export const httpUriRaw = sticky('http.uri.raw', 'URI of an HTTP request as sent.');
export const httpHost = sticky('http.host', 'Host of an HTTP request, lower case, without port.');
export const httpHostRaw = sticky('http.host.raw', 'Host header of an HTTP request as sent.');
export const httpUserAgent = sticky('http.user_agent', 'User-Agent header of an HTTP request.');
export const httpHeader = sticky('http.header', 'All normalised headers of an HTTP request or response, one per line.');
export const httpHeaderRaw = sticky('http.header.raw', 'All headers of an HTTP request or response as sent.');
export const httpHeaderNames = sticky('http.header_names', 'Names of the headers in their order, between line ends.', ['http_header_names']);
export const httpCookie = sticky('http.cookie', 'Cookie or Set-Cookie header.');
export const httpRequestBody = sticky('http.request_body', 'Body of an HTTP request.');
export const httpResponseBody = sticky('http.response_body', 'Body of an HTTP response, decompressed.');
export const httpStatCode = sticky('http.stat_code', 'Status code of an HTTP response.');
export const httpStatMsg = sticky('http.stat_msg', 'Status message of an HTTP response.');
export const sshProto = sticky('ssh.proto', 'Protocol version of an SSH banner.', ['ssh_proto']);
export const sshSoftware = sticky('ssh.software', 'Software named in an SSH banner.', ['ssh_software']);
export const httpRequestLine = sticky('http.request_line', 'First line of an HTTP request.', ['http_request_line']);
export const httpResponseLine = sticky('http.response_line', 'First line of an HTTP response.', ['http_response_line']);
export const httpProtocol = sticky('http.protocol', 'Protocol version of the HTTP request or response line.', ['http_protocol']);
export const httpStart = sticky('http.start', 'First line and all headers as sent.', ['http_start']);
export const httpAccept = sticky('http.accept', 'Accept header.', ['http_accept']);
export const httpAcceptEnc = sticky('http.accept_enc', 'Accept-Encoding header.', ['http_accept_enc']);
export const httpAcceptLang = sticky('http.accept_lang', 'Accept-Language header.', ['http_accept_lang']);
export const httpConnection = sticky('http.connection', 'Connection header.', ['http_connection']);
export const httpContentLen = sticky('http.content_len', 'Content-Length header.', ['http_content_len']);
export const httpContentType = sticky('http.content_type', 'Content-Type header.', ['http_content_type']);
export const httpReferer = sticky('http.referer', 'Referer header.', ['http_referer']);
export const httpServer = sticky('http.server', 'Server header.');
export const httpLocation = sticky('http.location', 'Location header.');
export const httpRequestHeader = sticky('http.request_header', 'One header of the request, name and value.');
export const httpResponseHeader = sticky('http.response_header', 'One header of the response, name and value.');
export const dnsQuery = sticky('dns.query', 'Name in a DNS query.', ['dns_query']);
export const tlsSni = sticky('tls.sni', 'Server name a TLS client asks for.', ['tls_sni']);
export const tlsCertSubject = sticky('tls.cert_subject', 'Subject of the certificate of the server.', ['tls_cert_subject']);
export const tlsCertIssuer = sticky('tls.cert_issuer', 'Issuer of the certificate of the server.', ['tls_cert_issuer']);
export const tlsCertSerial = sticky('tls.cert_serial', 'Serial number of the certificate, hex with colons.', ['tls_cert_serial']);
export const tlsCertFingerprint = sticky('tls.cert_fingerprint', 'SHA-1 of the certificate, hex with colons.', ['tls_cert_fingerprint']);
export const tlsCerts = sticky('tls.certs', 'Each certificate of the chain in DER.');
export const tlsRandom = sticky('tls.random', 'Random of the hello message, 32 bytes.');
export const tlsRandomTime = sticky('tls.random_time', 'First four bytes of the random.');
export const tlsRandomBytes = sticky('tls.random_bytes', 'Last 28 bytes of the random.');
export const ja3Hash = sticky('ja3.hash', 'JA3 fingerprint of the client hello.', ['ja3_hash']);
export const ja3String = sticky('ja3.string', 'Text the JA3 fingerprint is made of.', ['ja3_string']);
export const ja3sHash = sticky('ja3s.hash', 'JA3S fingerprint of the server hello.');
export const ja3sString = sticky('ja3s.string', 'Text the JA3S fingerprint is made of.');
export const ja4Hash = sticky('ja4.hash', 'JA4 fingerprint of the client hello.');
export const dceStubData = sticky('dcerpc.stub_data', 'Arguments of a DCE/RPC call or of its answer.', ['dce_stub_data']);
export const smbNamedPipe = sticky('smb.named_pipe', 'Path of the share for named pipes that an SMB client connects to.', ['smb_named_pipe']);
export const smbShare = sticky('smb.share', 'Path of the share that an SMB client connects to.', ['smb_share']);
export const smbUser = sticky('smb.ntlmssp_user', 'User of an NTLM log-on inside SMB.');
export const smbDomain = sticky('smb.ntlmssp_domain', 'Domain of an NTLM log-on inside SMB.');
export const ipSrc = sticky('ip.src', 'Source address, 4 or 16 bytes.');
export const ipDst = sticky('ip.dst', 'Destination address, 4 or 16 bytes.');
export const ipv4Hdr = sticky('ipv4.hdr', 'IPv4 header with options.');
export const ipv6Hdr = sticky('ipv6.hdr', 'IPv6 header with extension headers.');
export const tcpHdr = sticky('tcp.hdr', 'TCP header with options.');
export const udpHdr = sticky('udp.hdr', 'UDP header.');
export const icmpv4Hdr = sticky('icmpv4.hdr', 'ICMP header.');
export const icmpv6Hdr = sticky('icmpv6.hdr', 'ICMPv6 header.');

export const httpUriModifier = modifier('http_uri', 'http.uri');
export const httpRawUriModifier = modifier('http_raw_uri', 'http.uri.raw');
export const httpHeaderModifier = modifier('http_header', 'http.header');
export const httpRawHeaderModifier = modifier('http_raw_header', 'http.header.raw');
export const httpMethodModifier = modifier('http_method', 'http.method');
export const httpCookieModifier = modifier('http_cookie', 'http.cookie');
export const httpUserAgentModifier = modifier('http_user_agent', 'http.user_agent');
export const httpHostModifier = modifier('http_host', 'http.host');
export const httpRawHostModifier = modifier('http_raw_host', 'http.host.raw');
export const httpStatCodeModifier = modifier('http_stat_code', 'http.stat_code');
export const httpStatMsgModifier = modifier('http_stat_msg', 'http.stat_msg');
export const httpClientBodyModifier = modifier('http_client_body', 'http.request_body');
export const httpServerBodyModifier = modifier('http_server_body', 'http.response_body');
