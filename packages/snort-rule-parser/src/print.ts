/** Rules back to text. */
import type { AddressExpr, PortExpr, RuleSyntax } from './ast.js';
import { MAX_PORT } from './address.js';

/**
 * One line (without line end) that parses to an equal rule. Option values are printed byte for byte; the header and
 * the blanks between options take the usual form. A disabled rule starts with `# `.
 */
export function printRule(rule: RuleSyntax): string {
  const head = rule.enabled ? rule.action : `# ${rule.action}`;
  const ends = rule.dialect === 'snort3' ? '' : ` ${printAddress(rule.sourceAddress)} ${printPort(rule.sourcePort)}`
    + ` ${rule.direction} ${printAddress(rule.destinationAddress)} ${printPort(rule.destinationPort)}`;
  const options = rule.options.map(({ name, value }) => (value === null ? `${name};` : `${name}:${value};`));
  return `${head} ${rule.protocol}${ends} (${options.join(' ')})`;
}

/** One rule per line, each ended by a line feed. */
export function printRules(rules: Iterable<RuleSyntax>): string {
  let text = '';
  for (const rule of rules) text += `${printRule(rule)}\n`;
  return text;
}

/** Address expression in canonical spelling: no blanks, lists in brackets. */
export function printAddress(expr: AddressExpr): string {
  const sign = expr.negated ? '!' : '';
  switch (expr.kind) {
    case 'any':
      return `${sign}any`;
    case 'variable':
      return `${sign}$${expr.name}`;
    case 'address':
      return sign + expr.text;
    case 'list':
      return `${sign}[${expr.items.map(printAddress).join(',')}]`;
  }
}

/** Port expression in canonical spelling. */
export function printPort(expr: PortExpr): string {
  const sign = expr.negated ? '!' : '';
  switch (expr.kind) {
    case 'any':
      return `${sign}any`;
    case 'variable':
      return `${sign}$${expr.name}`;
    case 'port':
      if (expr.first === expr.last) return `${sign}${expr.first}`;
      return `${sign}${expr.first}:${expr.last === MAX_PORT ? '' : expr.last}`;
    case 'list':
      return `${sign}[${expr.items.map(printPort).join(',')}]`;
  }
}
