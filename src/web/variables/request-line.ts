/** The request line and its parts. */
import { scalar } from './variable.js';

export const requestLine = scalar('REQUEST_LINE', 'The whole request line as sent.', (s) => s.line);
export const requestMethod = scalar('REQUEST_METHOD', 'The request method.', (s) => s.method);
export const requestProtocol = scalar('REQUEST_PROTOCOL', 'Protocol and version of the request line.', (s) => s.protocol);
export const requestUriRaw = scalar('REQUEST_URI_RAW', 'The request target as sent.', (s) => s.target);
export const requestUri = scalar('REQUEST_URI', 'Path and query of the target, without scheme and host; not decoded.', (s) => s.uri);
export const requestFilename = scalar('REQUEST_FILENAME', 'The path of the target, decoded.', (s) => s.path);
export const requestBasename = scalar('REQUEST_BASENAME', 'What follows the last slash or backslash of the decoded path.', (s) => {
  const cut = Math.max(s.path.lastIndexOf('/'), s.path.lastIndexOf('\\'));
  return s.path.slice(cut + 1);
});
export const queryString = scalar('QUERY_STRING', 'The query of the target, without the question mark; not decoded.', (s) => s.query);
export const serverName = scalar('SERVER_NAME', 'Host of the target, else the Host field without its port.', (s) => s.host);
export const pathInfo = scalar('PATH_INFO', 'Empty: what part of a path is extra is known to the origin alone.', () => '');
