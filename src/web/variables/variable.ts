/**
 * What a variable is. One object per variable, grouped in files by family, one row each in registry.ts. A variable fills an
 * EntryList from the state of a transaction: collections give named entries, scalars one entry without a name.
 */
import type { EntryList } from '../engine/entry-list.js';
import type { TransactionState } from '../engine/state.js';
import type { NamePattern } from '../name-pattern.js';
import { ScanPlace, type ScanPlaceCode } from '../prefilter.js';
import type { ByteString } from '../value.js';

/** Phases at whose start a variable may have got new contents; what was built before is thrown away then. */
export type PhaseNumber = 1 | 2 | 3 | 4 | 5;

export interface VariableDefinition<Name extends string = string> {
  readonly name: Name;
  /** One sentence for the variable reference. */
  readonly help: string;
  /** Collections take a selector (`ARGS:name`, `ARGS:/regex/`), scalars do not. */
  readonly collection: boolean;
  /** Built anew at every use: contents change while rules run. */
  readonly volatile?: boolean;
  readonly changesAt?: readonly PhaseNumber[];
  /** Add the entries to an empty list. */
  fill(state: TransactionState, list: EntryList): void;
  /** The list itself where the state already keeps one. */
  direct?(state: TransactionState): EntryList;
  /** Value of one name without building a list. `lowerName` is in lower case. */
  lookup?(state: TransactionState, lowerName: ByteString): ByteString | undefined;
  /** The entries whose name a pattern matches, where that can be had without listing all. */
  matching?(state: TransactionState, pattern: NamePattern): EntryList;
  /** Selectors are expressions of their own (XPath), not names. Checked when rules are loaded. */
  readonly expression?: VariableExpression;
}

/** A variable whose selector is an expression. */
export interface VariableExpression {
  /** @throws Error saying what is accepted */
  check(selector: string): void;
  select(state: TransactionState, selector: string): EntryList;
}

/** Families of variables whose values are searched for the same rules. */
const PLACES: readonly (readonly [RegExp, ScanPlaceCode])[] = [
  [/^(?:ARGS|FILES|REQUEST_COOKIES|XML$|REQUEST_FILENAME$|REQUEST_BASENAME$|MULTIPART_(?:FILENAME|NAME)$)/, ScanPlace.PARAMETER],
  [/^(?:REQUEST_HEADERS|MULTIPART_PART_HEADERS)/, ScanPlace.HEADER],
  [/^(?:REQUEST_(?:LINE|URI|URI_RAW|BODY)|QUERY_STRING|FULL_REQUEST)$/, ScanPlace.REQUEST],
  [/^RESPONSE_(?:HEADERS|BODY)/, ScanPlace.RESPONSE],
];

function placeOf(name: string): ScanPlaceCode {
  return PLACES.find(([pattern]) => pattern.test(name))?.[1] ?? ScanPlace.NONE;
}

/** A row of the registry. One class for all, so that the engine's inner loops see objects of one shape. */
export class Variable {
  readonly name: string;
  readonly help: string;
  readonly index: number;
  readonly collection: boolean;
  readonly volatile: boolean;
  readonly changesAt: readonly PhaseNumber[];
  readonly place: ScanPlaceCode;
  readonly fill: (state: TransactionState, list: EntryList) => void;
  readonly direct: ((state: TransactionState) => EntryList) | null;
  readonly lookup: ((state: TransactionState, lowerName: ByteString) => ByteString | undefined) | null;
  readonly matching: ((state: TransactionState, pattern: NamePattern) => EntryList) | null;
  readonly expression: VariableExpression | null;

  constructor(definition: VariableDefinition, index: number) {
    this.name = definition.name;
    this.help = definition.help;
    this.index = index;
    this.collection = definition.collection;
    this.volatile = definition.volatile ?? false;
    this.changesAt = definition.changesAt ?? [];
    this.place = definition.volatile === true ? ScanPlace.NONE : placeOf(definition.name);
    this.fill = definition.fill;
    this.direct = definition.direct ?? null;
    this.lookup = definition.lookup ?? null;
    this.matching = definition.matching ?? null;
    this.expression = definition.expression ?? null;
  }
}

/** A variable with one value; null = absent, rules on it are not judged. */
export function scalar<const Name extends string>(
  name: Name,
  help: string,
  value: (state: TransactionState) => ByteString | null,
  options: { readonly volatile?: boolean; readonly changesAt?: readonly PhaseNumber[] } = {},
): VariableDefinition<Name> {
  return {
    name,
    help,
    collection: false,
    ...options,
    fill(state, list) {
      const text = value(state);
      if (text !== null) list.add('', text);
    },
  };
}

/** A variable that holds a number. */
export function numeric<const Name extends string>(
  name: Name,
  help: string,
  value: (state: TransactionState) => number,
  options: { readonly volatile?: boolean; readonly changesAt?: readonly PhaseNumber[] } = {},
): VariableDefinition<Name> {
  return scalar(name, help, (state) => String(value(state)), options);
}

/** A collection. */
export function collection<const Name extends string>(definition: Omit<VariableDefinition<Name>, 'collection'>): VariableDefinition<Name> {
  return { ...definition, collection: true };
}

/** A collection whose values are the names of another one. */
export function namesOf<const Name extends string>(
  name: Name,
  help: string,
  list: (state: TransactionState) => EntryList,
  changesAt?: readonly PhaseNumber[],
): VariableDefinition<Name> {
  return collection({
    name,
    help,
    ...(changesAt === undefined ? {} : { changesAt }),
    fill(state, out) {
      const source = list(state);
      for (let i = 0; i < source.size; i++) out.add(source.names[i]!, source.names[i]!);
    },
  });
}
