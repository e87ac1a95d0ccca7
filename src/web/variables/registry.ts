/** The table of variables. Adding one: its row here, its definition in the file of its family. */
import * as args from './args.js';
import * as body from './body.js';
import * as connection from './connection.js';
import * as cookies from './cookies.js';
import * as files from './files.js';
import * as headers from './headers.js';
import * as line from './request-line.js';
import * as response from './response.js';
import * as rules from './rule-state.js';
import * as time from './time.js';
import { Variable, type PhaseNumber, type VariableDefinition } from './variable.js';
import { xml } from './xml.js';

const DEFINITIONS: readonly VariableDefinition[] = [
  line.requestLine, line.requestMethod, line.requestProtocol, line.requestUri, line.requestUriRaw, line.requestFilename,
  line.requestBasename, line.queryString, line.serverName, line.pathInfo,
  headers.requestHeaders, headers.requestHeadersNames, headers.responseHeaders, headers.responseHeadersNames, headers.authType, headers.remoteUser,
  cookies.requestCookies, cookies.requestCookiesNames,
  args.args, args.argsNames, args.argsGet, args.argsGetNames, args.argsPost, args.argsPostNames, args.argsCombinedSize,
  body.requestBody, body.requestBodyLength, body.fullRequest, body.fullRequestLength, body.reqbodyProcessor, body.reqbodyError,
  body.reqbodyErrorMsg, body.reqbodyProcessorError, body.reqbodyProcessorErrorMsg, body.urlencodedError, body.inboundDataError,
  files.files, files.filesNames, files.filesSizes, files.filesTmpContent, files.filesCombinedSize, files.multipartPartHeaders,
  files.multipartFilename, files.multipartName, files.multipartBoundaryQuoted, files.multipartBoundaryWhitespace,
  files.multipartDataBefore, files.multipartDataAfter, files.multipartHeaderFolding, files.multipartLfLine, files.multipartCrlfLfLines,
  files.multipartMissingSemicolon, files.multipartSemicolonMissing, files.multipartInvalidQuoting, files.multipartInvalidPart,
  files.multipartInvalidHeaderFolding, files.multipartFileLimitExceeded, files.multipartStrictError, files.multipartUnmatchedBoundary,
  xml,
  response.responseStatus, response.statusLine, response.responseProtocol, response.responseContentType, response.responseBody,
  response.responseContentLength, response.outboundDataError,
  connection.remoteAddr, connection.remoteHost, connection.useragentIp, connection.remotePort, connection.serverAddr,
  connection.serverPort, connection.uniqueId, connection.webappid, connection.modsecBuild,
  time.time, time.timeDay, time.timeEpoch, time.timeHour, time.timeMin, time.timeMon, time.timeSec, time.timeWday, time.timeYear, time.duration,
  rules.tx, rules.env, rules.matchedVar, rules.matchedVarName, rules.matchedVars, rules.matchedVarsNames, rules.highestSeverity,
  rules.sessionid, rules.userid, rules.rule, ...rules.persistentVariables,
];

export const VARIABLES: readonly Variable[] = DEFINITIONS.map((definition, index) => new Variable(definition, index));

/** Variables that ModSecurity has and this engine has not, with the reason. */
export const REFUSED_VARIABLES: Readonly<Record<string, string>> = {
  GEO: 'address databases are not consulted by rules',
  FILES_TMPNAMES: 'uploads are not written to files',
  PERF_ALL: 'rules cannot observe the time they take',
  PERF_COMBINED: 'rules cannot observe the time they take',
  PERF_GC: 'rules cannot observe the time they take',
  PERF_LOGGING: 'rules cannot observe the time they take',
  PERF_PHASE1: 'rules cannot observe the time they take',
  PERF_PHASE2: 'rules cannot observe the time they take',
  PERF_PHASE3: 'rules cannot observe the time they take',
  PERF_PHASE4: 'rules cannot observe the time they take',
  PERF_PHASE5: 'rules cannot observe the time they take',
  PERF_RULES: 'rules cannot observe the time they take',
  PERF_SREAD: 'rules cannot observe the time they take',
  PERF_SWRITE: 'rules cannot observe the time they take',
  SCRIPT_BASENAME: 'files of the origin are not visible on the wire',
  SCRIPT_FILENAME: 'files of the origin are not visible on the wire',
  SCRIPT_GID: 'files of the origin are not visible on the wire',
  SCRIPT_GROUPNAME: 'files of the origin are not visible on the wire',
  SCRIPT_MODE: 'files of the origin are not visible on the wire',
  SCRIPT_UID: 'files of the origin are not visible on the wire',
  SCRIPT_USERNAME: 'files of the origin are not visible on the wire',
  SDBM_DELETE_ERROR: 'persistent collections are kept in memory',
  STREAM_INPUT_BODY: 'bodies are not rewritten',
  STREAM_OUTPUT_BODY: 'bodies are not rewritten',
  WEBSERVER_ERROR_LOG: 'the log of the origin is not visible on the wire',
};

const BY_NAME = new Map<string, Variable>();
for (const row of VARIABLES) {
  if (BY_NAME.has(row.name)) throw new Error(`variable ${row.name} is registered twice`);
  BY_NAME.set(row.name, row);
}

/** The variable of this name, in any case. */
export function findVariable(name: string): Variable | undefined {
  return BY_NAME.get(name.toUpperCase());
}

/** Variables whose contents may be new from the start of this phase. */
export const CHANGES_AT: Readonly<Record<PhaseNumber, readonly Variable[]>> = {
  1: [],
  2: VARIABLES.filter((v) => v.changesAt.includes(2)),
  3: VARIABLES.filter((v) => v.changesAt.includes(3)),
  4: VARIABLES.filter((v) => v.changesAt.includes(4)),
  5: [],
};
