/** The connection and the transaction's identity. */
import { scalar } from './variable.js';

export const remoteAddr = scalar('REMOTE_ADDR', 'Address of the client.', (s) => s.connection.clientAddress);
export const remoteHost = scalar('REMOTE_HOST', 'Address of the client: names are not looked up.', (s) => s.connection.clientAddress);
export const useragentIp = scalar('USERAGENT_IP', 'Address of the client.', (s) => s.connection.clientAddress);
export const remotePort = scalar('REMOTE_PORT', 'Port of the client.', (s) => String(s.connection.clientPort));
export const serverAddr = scalar('SERVER_ADDR', 'Address of the server.', (s) => s.connection.serverAddress);
export const serverPort = scalar('SERVER_PORT', 'Port of the server.', (s) => String(s.connection.serverPort));
export const uniqueId = scalar('UNIQUE_ID', 'Identifier of the transaction.', (s) => s.uniqueId);
export const webappid = scalar('WEBAPPID', 'SecWebAppId.', (s) => s.settings.webAppId);
export const modsecBuild = scalar('MODSEC_BUILD', 'Version number of the rule language: that of ModSecurity 2.9.11.', () => '020911000');
