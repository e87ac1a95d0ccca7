/** Message heads as the parser found them, in the words of the rule engine. */
import { ByteSlice, type HttpExchange } from '../../protocols/index.js';
import type { RequestHead, ResponseHead } from '../transaction.js';
import { byteString, type ByteString } from '../value.js';

const name = new ByteSlice();
const value = new ByteSlice();

function text(there: boolean): ByteString {
  return there ? byteString(value.buf, value.off, value.len) : '';
}

export function requestHead(exchange: HttpExchange): RequestHead {
  const line = text(exchange.startLine(0, value));
  const method = text(exchange.requestMethod(value));
  let target = text(exchange.rawUri(value));
  let protocol = text(exchange.protocol(0, value));
  const version = protocol.lastIndexOf(' ') + 1;
  if (version > 0 && protocol.startsWith('HTTP/', version)) {
    // Spaces within the target: strict servers refuse the line, the others take all up to the version, parameters included.
    protocol = protocol.slice(version);
    target = line.slice(line.indexOf(target, method.length), line.length - protocol.length).trimEnd();
  }
  return { line, method, target, protocol, fields: fieldsOf(exchange, 0) };
}

export function responseHead(exchange: HttpExchange): ResponseHead {
  return {
    line: text(exchange.startLine(1, value)),
    protocol: text(exchange.protocol(1, value)),
    status: exchange.status,
    reason: text(exchange.reason(value)),
    fields: fieldsOf(exchange, 1),
  };
}

/** Host name in lower case, '' when the request names none. */
export function hostOf(exchange: HttpExchange): ByteString {
  return text(exchange.host(value));
}

function fieldsOf(exchange: HttpExchange, dir: number): ByteString[] {
  const n = exchange.fieldCount(dir);
  const fields: ByteString[] = [];
  for (let i = 0; i < n; i++) {
    exchange.field(dir, i, name, value);
    fields.push(byteString(name.buf, name.off, name.len), byteString(value.buf, value.off, value.len));
  }
  return fields;
}
