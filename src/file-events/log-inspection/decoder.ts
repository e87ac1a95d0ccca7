/** Log lines to fields, OSSEC style: a header decoder finds program and message, then decoders of that program take fields out. */

export interface DecodedLine {
  /** The line as it came, without its end. */
  readonly line: string;
  readonly host: string;
  /** Name of the program, '' when the line has no header. */
  readonly program: string;
  readonly message: string;
  /** srcip, user, ... as decoders and rules name them. */
  readonly fields: Readonly<Record<string, string>>;
  /** The decoder that took fields out, '' = none. */
  readonly decoder: string;
}

export interface DecoderSpec {
  readonly name: string;
  /** Program it is for; '' = lines without a header. */
  readonly program: string;
  /** Regular expression with named groups, over the message. */
  readonly regex: string;
}

/** RFC 3164 with or without priority, and the ISO 8601 form of rsyslog; then RFC 5424. */
const HEADERS = [
  /^(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)) (?<host>\S+) (?<program>[^\s:[\]]+)(?:\[\d+\])?: ?(?<message>.*)$/s,
  /^<\d{1,3}>1 \S+ (?<host>\S+) (?<program>\S+) \S+ \S+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+) ?(?<message>.*)$/s,
];

const NO_FIELDS: Readonly<Record<string, string>> = {};

export class Decoder {
  readonly #byProgram = new Map<string, { readonly name: string; readonly regex: RegExp }[]>();

  /** @throws Error that names the decoder whose expression is wrong */
  constructor(specs: readonly DecoderSpec[]) {
    for (const { name, program, regex } of specs) {
      let compiled: RegExp;
      try {
        compiled = new RegExp(regex, 's');
      } catch (error) {
        throw new Error(`decoder ${name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      }
      const list = this.#byProgram.get(program) ?? [];
      list.push({ name, regex: compiled });
      this.#byProgram.set(program, list);
    }
  }

  decode(line: string): DecodedLine {
    let host = '';
    let program = '';
    let message = line;
    for (const header of HEADERS) {
      const groups = header.exec(line)?.groups;
      if (groups === undefined) continue;
      host = groups['host']!;
      program = groups['program']!;
      message = groups['message']!;
      break;
    }
    for (const { name, regex } of this.#byProgram.get(program) ?? []) {
      const found = regex.exec(message);
      if (found === null) continue;
      const fields = Object.fromEntries(Object.entries(found.groups ?? {}).filter(([, value]) => value !== undefined));
      return { line, host, program, message, fields, decoder: name };
    }
    return { line, host, program, message, fields: NO_FIELDS, decoder: '' };
  }
}
