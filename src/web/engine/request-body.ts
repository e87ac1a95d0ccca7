/** Gives the complete request body to the processor of its kind. */
import { parseJson } from '../body/json.js';
import { parseMultipart } from '../body/multipart.js';
import { parseUrlencoded } from '../body/urlencoded.js';
import { parseXml } from '../body/xml.js';
import type { ByteString } from '../value.js';
import type { TransactionState } from './state.js';

/** @returns bytes of the body that belong to no file */
export function processRequestBody(state: TransactionState, body: ByteString): number {
  const { settings } = state;
  state.bodyLength = body.length;
  let noFilesLength = body.length;
  if (state.forceBody || state.bodyProcessor === 'URLENCODED') state.body = body;
  switch (state.bodyProcessor) {
    case 'URLENCODED': {
      const result = parseUrlencoded(body, settings.argumentSeparator, settings.argumentsLimit, state.argsPost);
      if (result.invalidEncoding) state.urlencodedError = true;
      if (result.overLimit) fail(state, 'more parameters than SecArgumentsLimit');
      break;
    }
    case 'MULTIPART': {
      const target = { args: state.argsPost, files: state.files, partHeaders: state.partHeaders };
      const result = parseMultipart(body, state.contentType ?? '', settings.argumentsLimit, settings.uploadFileLimit, target);
      state.multipart = result.flags;
      noFilesLength = result.noFilesLength;
      if (result.error !== '') fail(state, result.error);
      break;
    }
    case 'JSON': {
      if (body.length === 0) break;
      const error = parseJson(body, settings.jsonDepthLimit, settings.argumentsLimit, state.argsPost);
      if (error !== '') fail(state, error);
      break;
    }
    case 'XML': {
      if (body.length === 0) break;
      const document = parseXml(body);
      if (typeof document === 'string') fail(state, document);
      else state.xml = document;
      break;
    }
    default:
  }
  return noFilesLength;
}

function fail(state: TransactionState, message: string): void {
  state.bodyError = message;
  state.bodyProcessorError = message;
}
