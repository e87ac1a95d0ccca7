/**
 * Suricata 7 / Snort 2.9 rule text in, typed syntax trees out, and back. Knows the grammar and nothing of what keywords
 * mean. Imports nothing outside this folder; never throws on input; time linear in it. See README.md for examples.
 */
export * from './ast.js';
export { formatError, RULE_ERROR_KINDS } from './errors.js';
export type { Position, RuleError, RuleErrorKind } from './errors.js';
export { DEFAULT_MAX_ERRORS, DEFAULT_MAX_RULE_LENGTH, forEachRule, parseRule, parseRules, readRules } from './parse.js';
export type { ParseOptions, ParseRuleResult, ParseRulesOptions, ParseRulesResult, RuleVisitor } from './parse.js';
export { decodeContent, encodeContent } from './content.js';
export type { ContentModifier, ContentPayload, ValueProblem } from './content.js';
export { decodePcre } from './pcre.js';
export type { PcrePayload } from './pcre.js';
export { metadataOf, payloadOf, referencesOf } from './payload.js';
export type { FlagPayload, ListPayload, OptionPayload, TextPayload } from './payload.js';
export { splitList, unquote } from './options.js';
export { printAddress, printPort, printRule, printRules } from './print.js';
export { MAX_LIST_DEPTH, parseAddressExpr, parseAddressRange, parsePortExpr } from './address.js';
export type { AddressRange, ExprProblem, ExprResult } from './address.js';
export { displayText, locate } from './lexer.js';
export {
  AddressResolver, ipv4Cidrs, ipv6Cidrs, MAX_EXPR_ITEMS, MAX_VARIABLE_DEPTH, placeOf, PortResolver, resolveAddress, resolvePorts,
} from './resolve.js';
export type {
  AddressSet, ExprPlace, HeaderField, Ipv4Range, Ipv6Range, PortRange, PortSet, ResolveResult, VariableLookup,
} from './resolve.js';
