/** Keywords of HTTP/2 frames. */
import { Http2FrameType, hasFrames, type Http2Setting, type Transaction } from '../../protocols/index.js';
import { keyword } from '../keyword.js';
import { TxMatch, TxOutcome } from '../match/match.js';
import { parseNumberTest, type NumberTest } from '../option.js';
import { UINT32, numeric } from './tx-numbers.js';

const FRAMES: Readonly<Record<string, number>> = Object.fromEntries(Object.entries(Http2FrameType).map(([name, value]) => [name.toLowerCase().replaceAll('_', ''), value]));

/** RFC 9113 section 7. */
const ERRORS: Readonly<Record<string, number>> = {
  no_error: 0, protocol_error: 1, internal_error: 2, flow_control_error: 3, settings_timeout: 4, stream_closed: 5, frame_size_error: 6, refused_stream: 7, cancel: 8,
  compression_error: 9, connect_error: 10, enhance_your_calm: 11, inadequate_security: 12, http_1_1_required: 13,
};

const SETTINGS: Readonly<Record<string, number>> = {
  settings_header_table_size: 1, settings_enable_push: 2, settings_max_concurrent_streams: 3, settings_initial_window_size: 4, settings_max_frame_size: 5, settings_max_header_list_size: 6,
};

export const http2Frametype = numeric('http2.frametype', 'Type of an HTTP/2 frame.', { max: 255, words: FRAMES });
export const http2Errorcode = numeric('http2.errorcode', 'Error code of an HTTP/2 RST_STREAM or GOAWAY frame.', { max: UINT32, words: ERRORS });
export const http2Priority = numeric('http2.priority', 'Weight of an HTTP/2 stream, as frames carry it (0 to 255).', { max: 255 });
export const http2Window = numeric('http2.window', 'Increment of an HTTP/2 WINDOW_UPDATE frame.', { max: UINT32 });
export const http2SizeUpdate = numeric('http2.size_update', 'New size of the header compression table of HTTP/2.', { max: UINT32 });

class SettingsMatch extends TxMatch {
  constructor(
    readonly id: number,
    /** null = the parameter only has to be there. */
    readonly test: NumberTest | null,
  ) {
    super();
  }

  override evaluate(tx: Transaction, _dir: number, done: boolean): number {
    if (hasFrames(tx) && tx.facts.settings.some((setting) => this.#holds(setting))) return TxOutcome.YES;
    return done ? TxOutcome.NO : TxOutcome.LATER;
  }

  #holds({ id, value }: Http2Setting): boolean {
    return id === this.id && (this.test === null || this.test.matches(value));
  }
}

export const http2Settings = keyword({
  name: 'http2.settings',
  kind: 'transaction',
  help: 'A parameter of an HTTP/2 SETTINGS frame, perhaps with its value.',
  usage: [`http2.settings:${Object.keys(SETTINGS).map((name) => name.toUpperCase()).join('|')} [op] n`],
  value: 'required',
  parse(draft, option) {
    const arg = option.unquoted();
    const [, name = '', rest = ''] = /^\s*([\w]+)\s*(.*?)\s*$/.exec(arg.text) ?? [];
    if (!Object.hasOwn(SETTINGS, name.toLowerCase())) option.fail(arg, 'unknown parameter', Object.keys(SETTINGS).map((known) => known.toUpperCase()));
    draft.impliedApp = 'http2';
    const test = rest === '' ? null : parseNumberTest(option, { text: rest, at: arg.at + arg.text.lastIndexOf(rest) }, 0, UINT32);
    draft.txMatches.push(new SettingsMatch(SETTINGS[name.toLowerCase()]!, test));
    draft.perPacket = true;
  },
});
