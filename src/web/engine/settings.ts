/** Settings of the engine, one per directive; the defaults are ModSecurity's. */

export const EngineMode = { OFF: 0, DETECTION_ONLY: 1, ON: 2 } as const;
export type EngineModeCode = (typeof EngineMode)[keyof typeof EngineMode];

export const LimitAction = { REJECT: 0, PROCESS_PARTIAL: 1 } as const;
export type LimitActionCode = (typeof LimitAction)[keyof typeof LimitAction];

export const AuditEngine = { OFF: 0, ON: 1, RELEVANT_ONLY: 2 } as const;
export type AuditEngineCode = (typeof AuditEngine)[keyof typeof AuditEngine];

export interface EngineSettings {
  ruleEngine: EngineModeCode;
  requestBodyAccess: boolean;
  /** Bytes. */
  requestBodyLimit: number;
  /** Bytes of the body without uploaded files. */
  requestBodyNoFilesLimit: number;
  requestBodyLimitAction: LimitActionCode;
  jsonDepthLimit: number;
  argumentsLimit: number;
  uploadFileLimit: number;
  responseBodyAccess: boolean;
  /** Lower case, without parameters. `null` type stands for a response without Content-Type. */
  responseBodyMimeTypes: ReadonlySet<string>;
  responseBodyLimit: number;
  responseBodyLimitAction: LimitActionCode;
  /** One byte. */
  argumentSeparator: string;
  cookieSeparator: string;
  /** 0 Netscape, 1 RFC 2109. */
  cookieFormat: 0 | 1;
  pcreMatchLimit: number;
  pcreRecursionLimit: number;
  unicodeMap: Int16Array | null;
  auditEngine: AuditEngineCode;
  auditParts: string;
  /** Regular expression on the response status, '' = none. */
  auditRelevantStatus: string;
  /** Milliseconds. */
  collectionTimeout: number;
  webAppId: string;
  componentSignatures: string[];
}

/** Milliseconds in an hour. */
const HOUR = 3_600_000;

export function defaultSettings(): EngineSettings {
  return {
    ruleEngine: EngineMode.OFF,
    requestBodyAccess: false,
    requestBodyLimit: 134_217_728,
    requestBodyNoFilesLimit: 1_048_576,
    requestBodyLimitAction: LimitAction.REJECT,
    jsonDepthLimit: 10_000,
    argumentsLimit: 1000,
    uploadFileLimit: 100,
    responseBodyAccess: false,
    responseBodyMimeTypes: new Set(['text/plain', 'text/html']),
    responseBodyLimit: 524_288,
    responseBodyLimitAction: LimitAction.REJECT,
    argumentSeparator: '&',
    cookieSeparator: ';',
    cookieFormat: 0,
    pcreMatchLimit: 0,
    pcreRecursionLimit: 0,
    unicodeMap: null,
    auditEngine: AuditEngine.OFF,
    auditParts: 'ABCFHZ',
    auditRelevantStatus: '',
    collectionTimeout: HOUR,
    webAppId: 'default',
    componentSignatures: [],
  };
}
