/**
 * libinjection: byte strings in, verdicts out: is the value (part of) an SQL injection, does it run script in a page?
 * Stateless and linear in the value's length; the tokenisers are exported for their tests. May import nothing.
 */
export { fingerprintOf, sqlInjection } from './sqli.js';
export { isXss } from './xss.js';
