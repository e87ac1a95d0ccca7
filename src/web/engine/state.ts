/**
 * What is known of one transaction: the parts of request and response, what the body processors made of them, what rules
 * wrote. Variables read it; the transaction fills it. No decisions are taken here.
 */
import { EntryList } from './entry-list.js';
import type { PersistentName, PersistentRecord } from './persistent-store.js';
import type { EngineSettings } from './settings.js';
import { TxStore } from './tx-store.js';
import { NO_MULTIPART_FLAGS, type MultipartFlags } from '../body/multipart-flags.js';
import type { XmlDocument } from '../body/xml.js';
import type { WebConnection } from '../transaction.js';
import type { ByteString } from '../value.js';
import type { PhaseNumber, Variable } from '../variables/variable.js';
import type { Rule } from '../rule.js';

export interface UploadedFile {
  /** Name of the form field. */
  readonly field: ByteString;
  /** File name as the client gave it. */
  readonly name: ByteString;
  /** Bytes. */
  readonly size: number;
  readonly content: ByteString;
}

export class TransactionState {
  readonly settings: EngineSettings;
  readonly connection: WebConnection;
  readonly uniqueId: string;
  /** Milliseconds since the epoch. */
  readonly started: number;
  readonly clock: () => number;
  phase: PhaseNumber = 1;

  // request head
  line: ByteString = '';
  method: ByteString = '';
  target: ByteString = '';
  protocol: ByteString = '';
  /** Target without scheme, host and fragment; query included. */
  uri: ByteString = '';
  path: ByteString = '';
  query: ByteString = '';
  host: ByteString = '';
  readonly requestHeaders = new EntryList();
  contentType: ByteString | null = null;
  readonly cookies = new EntryList();
  readonly argsGet = new EntryList();

  // request body
  readonly argsPost = new EntryList();
  /** URLENCODED, MULTIPART, JSON, XML or ''. */
  bodyProcessor = '';
  /** REQUEST_BODY is filled whatever the processor (ctl:forceRequestBodyVariable). */
  forceBody = false;
  body: ByteString | null = null;
  bodyLength = 0;
  bodyError: ByteString = '';
  bodyProcessorError: ByteString = '';
  urlencodedError = false;
  inboundDataError = false;
  multipart: MultipartFlags = NO_MULTIPART_FLAGS;
  readonly files: UploadedFile[] = [];
  readonly partHeaders = new EntryList();
  xml: XmlDocument | null = null;
  /** What paths of the rules selected, by path. */
  readonly xmlSelections = new Map<string, EntryList>();

  // response
  status = 0;
  statusLine: ByteString = '';
  responseProtocol: ByteString = '';
  readonly responseHeaders = new EntryList();
  responseContentType: ByteString | null = null;
  responseBody: ByteString | null = null;
  responseLength = 0;
  outboundDataError = false;

  // what rules wrote
  readonly tx = new TxStore();
  readonly env = new TxStore();
  readonly records = new Map<PersistentName, PersistentRecord>();
  sessionId: ByteString = '';
  userId: ByteString = '';
  resourceId: ByteString = '';
  matchedName: ByteString = '';
  matchedValue: ByteString = '';
  readonly matchedVars = new EntryList();
  /** 255 = none yet. */
  highestSeverity = 255;
  /** First rule of the chain being judged. */
  rule: Rule | null = null;

  readonly #lists: (EntryList | undefined)[] = [];

  constructor(settings: EngineSettings, connection: WebConnection, uniqueId: string, clock: () => number) {
    this.settings = settings;
    this.connection = connection;
    this.uniqueId = uniqueId;
    this.clock = clock;
    this.started = clock();
  }

  list(variable: Variable): EntryList {
    const known = this.#lists[variable.index];
    if (known !== undefined) return known;
    let list: EntryList;
    if (variable.direct !== null) list = variable.direct(this);
    else {
      list = new EntryList();
      variable.fill(this, list);
      if (variable.volatile) return list;
    }
    while (this.#lists.length < variable.index) this.#lists.push(undefined);
    this.#lists[variable.index] = list;
    return list;
  }

  /** Throw away what was built of these variables. */
  forget(variables: readonly Variable[]): void {
    this.xmlSelections.clear();
    for (const variable of variables) if (variable.index < this.#lists.length) this.#lists[variable.index] = undefined;
  }
}
