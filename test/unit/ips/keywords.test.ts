/** What each keyword accepts and refuses, where the fault is shown, and that registry, types and documentation agree. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import test from 'ava';
import { anchorOf, explainRule, findKeyword, formatRefusal, KEYWORDS, keywordNames, type Keyword, type KeywordName } from '../../../src/ips/index.js';
import { compile as compileRules } from './helper.js';

/** Files that rules name. */
const FILES: Readonly<Record<string, string>> = {
  'words.txt': 'aG9zdA==\n# comment\n\n',
  'reputation.txt': 'aG9zdA==,20\n',
  'md5.txt': 'd41d8cd98f00b204e9800998ecf8427e  empty\n',
};
const compile = (text: string): ReturnType<typeof compileRules> => compileRules(text, { readFile: (name) => (Object.hasOwn(FILES, name) ? Buffer.from(FILES[name]!) : null) });

const HEAD = 'alert tcp any any -> any any (';

/** Options that load. */
const ACCEPTED: Partial<Record<KeywordName, readonly string[]>> = {
  msg: ['msg:"text"'],
  classtype: ['classtype:misc-attack'],
  priority: ['priority:2'],
  metadata: ['metadata:key value, other value'],
  reference: ['reference:url,example.com'],
  target: ['target:src_ip'],
  requires: ['requires:version >= 7.0.3', 'requires:feature output::file-store', 'requires:keyword http.uri', 'requires:version >= 6 < 8 | >= 9'],
  content: ['content:"a|00 ff|b"', 'content:!"a"'],
  uricontent: ['uricontent:"/a"'],
  nocase: ['content:"a"; nocase'],
  depth: ['content:"abc"; depth:3', 'byte_extract:1,0,n; content:"abc"; depth:n'],
  offset: ['content:"a"; offset:0', 'content:"a"; offset:3; depth:5'],
  distance: ['content:"a"; content:"b"; distance:-3'],
  within: ['content:"a"; content:"b"; within:1'],
  startswith: ['content:"a"; startswith'],
  endswith: ['content:"a"; endswith', 'content:"a"; content:"b"; distance:0; endswith'],
  rawbytes: ['content:"a"; rawbytes'],
  fast_pattern: ['content:"a"; fast_pattern', 'content:"a"; fast_pattern:only', 'content:"abcd"; fast_pattern:1,2'],
  pcre: ['pcre:"/a/"', 'pcre:!"/a/ismxAEGRBO"', 'pcre:"/a/U"', 'pcre:"/a\\;b/Hi"', 'pcre:"/(?<a>b)\\1/"', 'pcre:"/(a)/,flow:x"'],
  byte_test: ['byte_test:4,>,1,0', 'byte_test:4,!&,0x80000000,-4,relative,little', 'byte_test:10,=,5,0,string,dec', 'byte_extract:1,0,n; byte_test:1,=,n,n'],
  byte_jump: ['byte_jump:4,0', 'byte_jump:0,0,from_end,post_offset -4', 'byte_jump:2,-2,relative,little,multiplier 4,align,from_beginning,post_offset 3,bitmask 0xff'],
  byte_extract: ['byte_extract:2,0,size', 'byte_extract:2,1,size,relative,little,multiplier 2,align 4', 'byte_extract:4,0,n,string,hex'],
  byte_math: ['byte_math:bytes 2, offset 0, oper *, rvalue 4, result r', 'byte_math:bytes 2,offset 0,oper >>,rvalue 3,result r,relative,endian little,bitmask 0xf0', 'byte_math:bytes 2,offset 0,oper +,rvalue 3,result r,string dec'],
  isdataat: ['isdataat:5', 'isdataat:!5,relative', 'byte_extract:1,0,n; isdataat:n,relative,rawbytes'],
  bsize: ['http.uri; bsize:5; content:"a"', 'http.uri; bsize:>5', 'http.uri; bsize:3<>9'],
  urilen: ['urilen:5', 'urilen:>5,norm', 'urilen:5<>10,raw'],
  base64_decode: ['base64_decode; base64_data; content:"a"', 'base64_decode:bytes 4, offset 2, relative; base64_data; content:"a"'],
  base64_data: ['base64_decode; base64_data; content:"a"; nocase'],
  pkt_data: ['http.uri; content:"a"; pkt_data; content:"b"'],
  'file.data': ['file.data; content:"a"', 'file_data; content:"a"'],
  dotprefix: ['http.host; dotprefix; content:".a"', 'http.host; content:".a"; dotprefix'],
  strip_whitespace: ['http.host; strip_whitespace; content:"a"'],
  compress_whitespace: ['http.host; compress_whitespace; content:"a"'],
  to_lowercase: ['http.host; to_lowercase; content:"a"'],
  to_uppercase: ['http.host; to_uppercase; content:"A"'],
  to_md5: ['http.host; to_md5; content:"|00|"'],
  to_sha1: ['http.host; to_sha1; content:"|00|"'],
  to_sha256: ['http.host; to_sha256; content:"|00|"'],
  url_decode: ['http.uri.raw; url_decode; content:"a"'],
  xor: ['http.uri; xor:"0d0ac8ff"; content:"a"'],
  pcrexform: ['http.uri; pcrexform:"a=([^&]+)"; content:"a"'],
  header_lowercase: ['http.header; header_lowercase; content:"host:"'],
  strip_pseudo_headers: ['http.header; strip_pseudo_headers; content:"host:"'],
  dsize: ['dsize:5', 'dsize:<5', 'dsize:>=5', 'dsize:5<>10', 'dsize:!5'],
  ttl: ['ttl:5', 'ttl:<5', 'ttl:1-5'],
  tos: ['tos:8', 'tos:!8'],
  id: ['id:1'],
  seq: ['seq:4294967295'],
  ack: ['ack:0'],
  window: ['window:55808', 'window:!55808', 'tcp.window:1'],
  itype: ['itype:8', 'itype:>10', 'itype:8<>20'],
  icode: ['icode:0'],
  icmp_id: ['icmp_id:0', 'icmp_id:"0"'],
  icmp_seq: ['icmp_seq:0'],
  'icmpv6.mtu': ['icmpv6.mtu:<1280'],
  'ipv4-csum': ['ipv4-csum:valid'],
  'tcpv4-csum': ['tcpv4-csum:invalid'],
  'tcpv6-csum': ['tcpv6-csum:invalid'],
  'udpv4-csum': ['udpv4-csum:"valid"'],
  'udpv6-csum': ['udpv6-csum:invalid'],
  'icmpv4-csum': ['icmpv4-csum:invalid'],
  'icmpv6-csum': ['icmpv6-csum:invalid'],
  'flow.age': ['flow.age:>20', 'flow.age:5<>10'],
  'tls.subject': ['tls.subject:"CN=a"', 'tls.subject:!"CN=a"'],
  'tls.issuerdn': ['tls.issuerdn:"CN=a"'],
  'tls.fingerprint': ['tls.fingerprint:"90:86:a4"'],
  'tcp.mss': ['tcp.mss:1460', 'tcp.mss:<536'],
  ip_proto: ['ip_proto:47', 'ip_proto:!tcp', 'ip_proto:>20', 'ip_proto:GRE'],
  sameip: ['sameip'],
  flags: ['flags:S', 'flags:S,12', 'flags:+SA', 'flags:A+', 'flags:!F', 'flags:*SF,CE', 'flags:0', 'flags:SFUN', 'tcp.flags:S'],
  ipopts: ['ipopts:lsrr', 'ipopts:any'],
  fragbits: ['fragbits:M', 'fragbits:+MD', 'fragbits:!MDR', 'fragbits:M+'],
  fragoffset: ['fragoffset:0', 'fragoffset:>0', 'fragoffset:!0'],
  'decode-event': ['decode-event:ipv4.trunc_pkt'],
  'stream-event': ['stream-event:3whs_synack_with_wrong_ack'],
  flow: ['flow:established,to_server', 'flow: stateless', 'flow:from_server,only_stream', 'flow:no_frag', 'flow:not_established'],
  flowbits: ['flowbits:set,a.b', 'flowbits:isset,a|b', 'flowbits:isnotset,a', 'flowbits:toggle,a', 'flowbits:unset,a', 'flowbits:noalert'],
  flowint: ['flowint:a,+,1', 'flowint:a,>=,3', 'flowint:a,isset', 'flowint:a,=,b'],
  xbits: ['xbits:set,a,track ip_src,expire 10', 'xbits:isset,a,track ip_pair', 'xbits:noalert'],
  hostbits: ['hostbits:set,a', 'hostbits:isset,a,both'],
  stream_size: ['stream_size:server,<,6', 'stream_size:both,!=,6', 'stream_size:either,>=,6'],
  'app-layer-protocol': ['app-layer-protocol:http', 'app-layer-protocol:!tls', 'app-layer-protocol:failed'],
  'app-layer-event': ['app-layer-event:http.unable_to_match_response_to_request', 'app-layer-event:applayer_proto_detection_skipped'],
  'dns.opcode': ['dns.opcode:4', 'dns.opcode:!0', 'dns.opcode:7<>15'],
  'dns.rcode': ['dns.rcode:3'],
  'tls.cert_chain_len': ['tls.cert_chain_len:>1'],
  'tls.version': ['tls.version:1.2', 'tls.version:"1.0"', 'tls.version:0x7f12'],
  dataset: ['dns.query; dataset:set,a,type string', 'http.host; dataset:isnotset,b, type string, memcap 10mb, hashsize 100, save x.csv', 'http.uri; to_md5; dataset:isset,c,type md5,state none.csv', 'http.host; dataset:isset,d,type string,load words.txt'],
  datarep: ['http.host; datarep:r,>,10,type string,load reputation.txt'],
  filename: ['filename:"a.exe"', 'filename:!"a.exe"'],
  fileext: ['fileext:"exe"', 'fileext:!"exe"'],
  filemagic: ['filemagic:"PDF"', 'filemagic:!"PE32"'],
  filesize: ['filesize:<70', 'filesize:10<>20', 'filesize:>50'],
  filestore: ['filestore', 'filestore:both,flow'],
  filemd5: ['filemd5:md5.txt', 'filemd5:!md5.txt'],
  filesha1: ['filesha1:md5.txt'],
  filesha256: ['filesha256:md5.txt'],
  'dcerpc.iface': ['dcerpc.iface:afa8bd80-7d8a-11c9-bef4-08002b102989', 'dce_iface:AFA8BD80-7d8a-11c9-bef4-08002b102989,>1,any_frag'],
  'dcerpc.opnum': ['dcerpc.opnum:15', 'dce_opnum:1,3-5'],
  ftpdata_command: ['ftpdata_command:retr', 'ftpdata_command:STOR'],
  ftpbounce: ['ftpbounce'],
  frame: ['frame:mqtt.pdu; content:"a"', 'frame:rfb.pdu; content:"a"; frame:rfb.pdu; content:"b"'],
  'dhcp.leasetime': ['dhcp.leasetime:<7200', 'dhcp.leasetime:1<>4294967295'],
  'dhcp.renewal_time': ['dhcp.renewal_time:1000<>2000'],
  'dhcp.rebinding_time': ['dhcp.rebinding_time:>3000'],
  dnp3_func: ['dnp3_func:5', 'dnp3_func:direct_operate', 'dnp3_func:unsolicited_response'],
  dnp3_ind: ['dnp3_ind:all_stations', 'dnp3_ind:device_restart,4096'],
  dnp3_obj: ['dnp3_obj:12,1'],
  enip_command: ['enip_command:99', 'enip_command:>100'],
  cip_service: ['cip_service:75', 'cip_service:16,246', 'cip_service:75,246,3', 'cip_service:75,246,!3'],
  'ike.exchtype': ['ike.exchtype:2', 'ike.exchtype:>30'],
  'ike.chosen_sa_attribute': ['ike.chosen_sa_attribute:alg_hash=2', 'ike.chosen_sa_attribute:"sa_life_duration=86400"'],
  'ike.key_exchange_payload_length': ['ike.key_exchange_payload_length:>100'],
  'ike.nonce_payload_length': ['ike.nonce_payload_length:<200'],
  krb5_msg_type: ['krb5_msg_type:10'],
  krb5_err_code: ['krb5_err_code:6'],
  'krb5.ticket_encryption': ['krb5.ticket_encryption:weak', 'krb5.ticket_encryption:!rc4-hmac,aes256-cts-hmac-sha1-96', 'krb5.ticket_encryption:-128'],
  modbus: ['modbus:function 1', 'modbus: function 8, subfunction 4', 'modbus:function !reserved', 'modbus: access write coils, address 50, value >1', 'modbus: unit 10<>20, access read, address <9', 'modbus:"unit >9, function user"'],
  'http2.frametype': ['http2.frametype:GOAWAY', 'http2.frametype:9'],
  'http2.errorcode': ['http2.errorcode:NO_ERROR', 'http2.errorcode:11'],
  'http2.priority': ['http2.priority:>250', 'http2.priority:7'],
  'http2.window': ['http2.window:<1000'],
  'http2.size_update': ['http2.size_update:0', 'http2.size_update:>4096'],
  'http2.settings': ['http2.settings:SETTINGS_ENABLE_PUSH', 'http2.settings:SETTINGS_MAX_FRAME_SIZE >16384', 'http2.settings: settings_enable_push 0'],
  asn1: ['asn1:double_overflow, bitstring_overflow, relative_offset 54, oversize_length 2048', 'asn1:oversize_length 100, absolute_offset 3'],
  'tls.store': ['tls.store', 'tls.cert_subject; content:"a"; tlsstore'],
  'mqtt.type': ['mqtt.type:CONNECT', 'mqtt.type:3'],
  'mqtt.qos': ['mqtt.qos:0'],
  'mqtt.protocol_version': ['mqtt.protocol_version:5', 'mqtt.protocol_version:>3'],
  'mqtt.reason_code': ['mqtt.reason_code:134', 'mqtt.connack.return_code:0'],
  'mqtt.flags': ['mqtt.flags: !retain,!dup', 'mqtt.flags:dup'],
  'mqtt.connect.flags': ['mqtt.connect.flags:username,password,clean_session'],
  nfs_version: ['nfs_version:3', 'nfs_version:2<>4'],
  nfs_procedure: ['nfs_procedure:>3', 'nfs_procedure:2<>4'],
  'rfb.sectype': ['rfb.sectype:2', 'rfb.sectype:>3'],
  'rfb.secresult': ['rfb.secresult:ok', 'rfb.secresult:unknown'],
  'snmp.version': ['snmp.version:3', 'snmp.version:<3'],
  'snmp.pdu_type': ['snmp.pdu_type:trap_v2', 'snmp.pdu_type:2'],
  threshold: ['threshold:type limit, track by_src, count 1, seconds 60', 'threshold: type both , track by_rule, seconds 5, count 3'],
  detection_filter: ['detection_filter:track by_dst, count 5, seconds 2'],
  noalert: ['noalert'],
  alert: ['alert'],
  bypass: ['bypass'],
  tag: ['tag:session,5,packets', 'tag:host,100,seconds,src', 'tag:session'],
  prefilter: ['content:"a"; prefilter', 'dsize:1; prefilter'],
};

/** Options that are refused: the column of the fault within the options, the token, and a word of the message. */
const REFUSED: readonly (readonly [options: string, column: number, token: string, message: RegExp])[] = [
  ['depth:3', 1, 'depth', /follow a content/],
  ['content:"abc"; depth:2', 22, '2', /less than the 3 bytes/],
  ['content:"a"; depth:0', 20, '0', /range/],
  ['content:"a"; depth:n', 20, 'n', /variable/],
  ['content:"a"; depth:3; depth:4', 23, 'depth', /twice/],
  ['content:"a"; offset:70000', 21, '70000', /range/],
  ['content:"a"; content:"b"; distance:1; offset:1', 39, 'offset', /exclude/],
  ['content:"a"; content:"b"; depth:1; within:1', 36, 'within', /exclude/],
  ['content:"a"; startswith; offset:1', 26, 'offset', /exclude/],
  ['content:"a"; nocase:1', 21, '1', /no value/],
  ['content:"a"; replace:"b"', 14, 'replace', /rewriting/],
  ['content:"abcd"; fast_pattern:4,1', 30, '4', /range/],
  ['content:"abcd"; fast_pattern:some', 30, 'some', /form/],
  ['content:"a"; fast_pattern; content:"b"; fast_pattern', 41, 'fast_pattern', /twice/],
  ['http.uri; content:"a"; rawbytes', 24, 'rawbytes', /payload/],
  ['pcre:"/a(/"', 10, '', /regular expression/],
  ['pcre:"/a/iq"', 11, 'q', /modifier/],
  ['pcre:"/a/UP"', 11, 'P', /two buffers/],
  ['http.host; pcre:"/a/U"', 12, 'pcre', /sticky buffer/],
  ['byte_test:4,>,1', 11, '4,>,1', /fewer/],
  ['byte_test:4,~,1,0', 13, '~', /operator/],
  ['byte_test:9,>,1,0', 11, '9', /at most 8/],
  ['byte_test:4,>,x,0', 15, 'x', /variable/],
  ['byte_test:4,>,1,0,hex', 19, 'hex', /needs string/],
  ['byte_test:4,>,1,0,bogus', 19, 'bogus', /unknown option/],
  ['byte_jump:4', 11, '4', /fewer/],
  ['byte_jump:4,0,from_beginning,from_end', 1, 'byte_jump', /exclude/],
  ['byte_jump:4,0,multiplier 0', 26, '0', /range/],
  ['byte_extract:4,0', 14, '4,0', /fewer/],
  ['byte_extract:4,0,n,align 3', 26, '3', /2 or 4/],
  ['byte_math:bytes 4,offset 0,oper %,rvalue 1,result r', 33, '%', /operator/],
  ['byte_math:bytes 4,offset 0,oper /,rvalue 0,result r', 42, '0', /zero/],
  ['byte_math:bytes 4', 11, 'bytes 4', /missing/],
  ['isdataat:x', 10, 'x', /variable/],
  ['isdataat:1,bogus', 12, 'bogus', /unknown option/],
  ['bsize:5', 1, 'bsize', /sticky/],
  ['http.uri; bsize:9<>3', 17, '9<>3', /ends before/],
  ['urilen:5,bogus', 10, 'bogus', /unknown option/],
  ['base64_data; content:"a"', 1, 'base64_data', /follow base64_decode/],
  ['dotprefix; content:"a"', 1, 'dotprefix', /sticky/],
  ['http.uri; xor:"0g"; content:"a"', 16, '0g', /key/],
  ['http.uri; pcrexform:"("; content:"a"', 22, '(', /regular expression/],
  ['http.uri', 1, 'http.uri', /no content/],
  ['http.uri; content:"a"; http.stat_code; content:"2"', 40, 'content', /exclude/],
  ['flow:to_client; http.uri; content:"a"', 27, 'content', /exclude/],
  ['http.uri; content:"a"; dns.query; content:"b"', 35, 'content', /no application protocol/],
  ['http.uri; content:"a"; dsize:5', 24, 'dsize', /packet tests/],
  ['flow:only_stream; content:"a"; dsize:5', 32, 'dsize', /packet tests/],
  ['dsize:70000', 7, '70000', /range/],
  ['dsize:x', 7, 'x', /comparison/],
  ['ttl:300', 5, '300', /range/],
  ['ip_proto:bogus', 10, 'bogus', /protocol/],
  ['flags:X', 7, 'X', /flag/],
  ['flags:S,X', 9, 'X', /flag/],
  ['flags:S,1,2', 11, '2', /two lists/],
  ['ipopts:bogus', 8, 'bogus', /option/],
  ['fragbits:X', 10, 'X', /bits/],
  ['decode-event:bogus', 14, 'bogus', /event/],
  ['stream-event:bogus', 14, 'bogus', /event/],
  ['flow:bogus', 6, 'bogus', /flow option/],
  ['flow:to_server,to_client', 16, 'to_client', /second direction/],
  ['flow:established,stateless', 18, 'stateless', /excludes/],
  ['flow:only_stream,no_stream', 18, 'no_stream', /excludes/],
  ['flowbits:bogus,a', 10, 'bogus', /action/],
  ['flowbits:set', 10, 'set', /missing/],
  ['flowbits:set,a|b', 14, 'a|b', /one bit/],
  ['flowint:a,%,1', 11, '%', /operator/],
  ['flowint:a', 9, 'a', /fewer/],
  ['xbits:set,a', 7, 'set,a', /track/],
  ['xbits:set,a,track bogus', 19, 'bogus', /track/],
  ['hostbits:set,a,bogus', 16, 'bogus', /side/],
  ['stream_size:bogus,<,6', 13, 'bogus', /side/],
  ['stream_size:both,<', 13, 'both,<', /three/],
  ['app-layer-protocol:bogus', 20, 'bogus', /parser/],
  ['app-layer-event:http.bogus', 17, 'http.bogus', /event/],
  ['tls.version:9', 13, '9', /version/],
  ['dns.opcode:16', 12, '16', /range/],
  ['threshold:type bogus, track by_src, count 1, seconds 1', 16, 'bogus', /type/],
  ['threshold:type limit, track by_src, count 1', 11, 'type limit, track by_src, count 1', /seconds is missing/],
  ['threshold:type limit, track by_src, count 0, seconds 1', 43, '0', /range/],
  ['detection_filter:track bogus, count 1, seconds 1', 24, 'bogus', /track/],
  ['detection_filter:type limit, track by_src, count 1, seconds 1', 18, 'type limit', /unknown option/],
  ['tag:bogus', 5, 'bogus', /type/],
  ['tag:session,5,bogus', 15, 'bogus', /metric/],
  ['noalert; alert', 10, 'alert', /excludes/],
  ['dataset:set,a,type string', 1, 'dataset', /sticky/],
  ['http.uri; dataset:bogus,a,type string', 19, 'bogus', /command/],
  ['http.uri; dataset:set,a,type bogus', 30, 'bogus', /type/],
  ['http.uri; dataset:set,a', 23, 'a', /type is missing/],
  ['http.uri; dataset:isset,a,type string,load none.csv', 44, 'none.csv', /cannot be read/],
  ['http.uri; dataset:isset,a,type md5,load words.txt', 41, 'words.txt', /line 1/],
  ['http.uri; datarep:r,~,10,type string', 21, '~', /operator/],
  ['filename:""', 10, '""', /missing/],
  ['filesize:x', 10, 'x', /comparison/],
  ['filestore:bogus', 11, 'bogus', /direction/],
  ['filemd5:none.txt', 9, 'none.txt', /cannot be read/],
  ['dcerpc.iface:bogus', 14, 'bogus', /UUID/],
  ['dcerpc.opnum:5-3', 16, '3', /range/],
  ['ftpdata_command:list', 17, 'list', /command/],
  ['frame:bogus', 7, 'bogus', /frame/],
  ['dnp3_func:bogus', 11, 'bogus', /comparison/],
  ['dnp3_ind:bogus', 10, 'bogus', /indication/],
  ['dnp3_obj:1', 10, '1', /two numbers/],
  ['cip_service:1,2,3,4', 19, '4', /three/],
  ['ike.chosen_sa_attribute:bogus=1', 25, 'bogus=1', /attribute/],
  ['krb5.ticket_encryption:bogus', 24, 'bogus', /number/],
  ['modbus:bogus 1', 8, 'bogus 1', /expected/],
  ['modbus:access write input', 15, 'write input', /accessed/],
  ['modbus:access read coils, address 5, value 1', 38, 'value 1', /expected/],
  ['http2.frametype:bogus', 17, 'bogus', /comparison/],
  ['http2.settings:SETTINGS_BOGUS 1', 16, 'SETTINGS_BOGUS 1', /parameter/],
  ['asn1:bogus', 6, 'bogus', /option/],
  ['asn1:relative_offset 5', 6, 'relative_offset 5', /nothing/],
  ['mqtt.type:bogus', 11, 'bogus', /comparison/],
  ['mqtt.flags:bogus', 12, 'bogus', /flag/],
  ['config:logging disable, type tx', 1, 'config', /not supported/],
  ['requires:version >= 99', 10, 'version >= 99', /version/],
  ['requires:keyword bogus', 10, 'keyword bogus', /keyword/],
  ['bogus:1', 1, 'bogus', /unknown keyword/],
  ['content:"a", nocase', 9, '"a", nocase', /Snort 3/],
];

for (const [name, list] of Object.entries(ACCEPTED)) {
  test(`${name} accepts`, (t) => {
    for (const options of list) {
      const rules = compile(`${HEAD}${options}; sid:1;)`);
      t.deepEqual(rules.refusals.map(formatRefusal), [], options);
      t.is(rules.rules.length, 1, options);
    }
  });
}

for (const [options, column, token, message] of REFUSED) {
  test(`refused: ${options}`, (t) => {
    const rules = compile(`# comment\n${HEAD}${options};)\n`.replace(';)', '; sid:5;)'));
    t.is(rules.rules.length, 0);
    const [refusal] = rules.refusals;
    // The fault of a whole rule is shown at its last option, which here is the sid.
    const whole = /no content|exclude each|no application|packet tests|cannot stand/.test(refusal!.message) && refusal!.keyword === 'sid';
    t.regex(refusal!.message, message);
    t.is(refusal!.line, 2);
    t.is(refusal!.sid, 5);
    if (whole) return;
    t.is(refusal!.column, HEAD.length + column, formatRefusal(refusal!));
    if (token !== '') t.is(refusal!.token, token);
  });
}

test('faults of headers have a place', (t) => {
  const [unknown, variable, empty] = ['alert bogus any any -> any any (sid:1;)', 'alert tcp $NOPE any -> any any (sid:2;)', 'alert tcp any any -> [10.0.0.1,!10.0.0.0/8] any (sid:3;)'].map(
    (rule) => compile(rule).refusals[0]!,
  );
  t.is(unknown!.reason, 'unknown-protocol');
  t.is(unknown!.column, 7);
  t.true(unknown!.accepted.includes('http'));
  t.is(variable!.reason, 'unknown-variable');
  t.is(variable!.column, 11);
  t.is(variable!.token, '$NOPE');
  t.is(empty!.reason, 'bad-header');
  t.is(empty!.column, 22);
});

test('a continued line gives the place in its own line', (t) => {
  const [refusal] = compile('alert tcp any any -> any any (content:"a"; \\\n  dsize:x; sid:1;)').refusals;
  t.is(refusal!.line, 2);
  t.is(refusal!.column, 9);
});

test('duplicates: the higher revision stays and the other is reported', (t) => {
  const rules = compile('alert tcp any any -> any any (content:"a"; sid:1; rev:2;)\nalert tcp any any -> any any (content:"b"; sid:1; rev:3;)\nalert tcp any any -> any any (content:"c"; sid:1; rev:1;)');
  t.is(rules.rules.length, 1);
  t.is(rules.rules[0]!.info.rev, 3);
  t.deepEqual(rules.refusals.map((refusal) => [refusal.reason, refusal.line]), [['duplicate', 1], ['duplicate', 3]]);
});

test('syntax errors are refusals too', (t) => {
  const rules = compile('alert tcp any any -> any any (content:"a; sid:1;)\nalert udp any any -> any any (sid:2;)');
  t.is(rules.rules.length, 1);
  t.is(rules.refusals[0]!.reason, 'syntax');
});

test('every row of the registry is tested, documented once, and nothing else is', (t) => {
  const docs = readFileSync('docs/rules.md', 'utf8');
  const anchors = [...docs.matchAll(/<a id="(keyword-[^"]+)">/g)].map((match) => match[1]!);
  const expected = (KEYWORDS as readonly Keyword[]).map((row) => anchorOf(row.name));
  t.deepEqual(anchors.toSorted(), expected.toSorted());
  t.is(new Set(anchors).size, anchors.length);
  for (const row of KEYWORDS as readonly Keyword[]) {
    t.true(docs.includes(row.help.replaceAll('|', '\\|')), `docs/rules.md has the help of ${row.name} (node scripts/keyword-docs.mjs)`);
    const exempt = row.kind === 'buffer' || (row.kind === 'modifier' && row.name.startsWith('http_')) || ['sid', 'gid', 'rev', 'replace', 'config'].includes(row.name);
    if (!exempt) t.true(Object.hasOwn(ACCEPTED, row.name), `${row.name} has an accept table`);
  }
  for (const name of keywordNames()) t.truthy(findKeyword(name));
});

test('every buffer keyword and legacy modifier loads', (t) => {
  for (const row of KEYWORDS as readonly Keyword[]) {
    if (['base64_data', 'pkt_data', 'frame'].includes(row.name)) continue;
    const sticky = row.kind === 'buffer';
    if (!sticky && !(row.kind === 'modifier' && row.name.startsWith('http_'))) continue;
    for (const name of [row.name, ...(row.aliases ?? [])]) {
      const options = sticky ? `${name}; content:"a";` : `content:"a"; ${name};`;
      t.deepEqual(compile(`alert ip any any -> any any (${options} sid:1;)`).refusals.map(formatRefusal), [], name);
    }
  }
});

test('explain tells how a rule is found', (t) => {
  const rules = compile('alert http any any -> any any (flow:to_server; http.method; content:"POST"; http.uri; content:"/evil/path"; nocase; sid:1;)\nalert tcp any any -> any any (dsize:5; sid:2;)');
  const explained = explainRule(rules, 1, 1)!;
  t.is(explained.kind, 'transaction');
  t.deepEqual(explained.directions, ['to server']);
  t.deepEqual(explained.applications, ['http', 'http2']);
  t.deepEqual(explained.fastPattern, { buffer: 'http.uri', pattern: '"/evil/path"', nocase: true, chosenBy: 'compiler' });
  t.is(explained.cost, 'low');
  t.is(explainRule(rules, 1, 2)!.cost, 'high');
  t.is(explainRule(rules, 1, 3), null);
});

test('no rule text makes the compiler throw', (t) => {
  const names = fc.constantFrom(...keywordNames());
  const value = fc.oneof(fc.constant(''), fc.stringMatching(/^[ -~]{0,20}$/), fc.constantFrom('"a"', '1', 'a,b', '1,>,2,3', 'type limit, track by_src, count 1, seconds 1', '"/a/U"', 'set,a'));
  const option = fc.tuple(names, value).map(([name, text]) => (text === '' ? `${name};` : `${name}:${text.replace(/[;\\]/g, '')};`));
  fc.assert(
    fc.property(fc.array(option, { maxLength: 6 }), (options) => {
      const rules = compile(`${HEAD}${options.join(' ')} sid:1;)`);
      return rules.rules.length + rules.refusals.length >= 1;
    }),
    { numRuns: 3000 },
  );
  t.pass();
});
