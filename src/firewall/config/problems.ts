/** Collects what is wrong with a configuration, each with the path of the value; the caller turns paths into line:column. */
export type Path = readonly (string | number)[];

export interface FirewallProblem {
  readonly path: Path;
  /** What was found and what is accepted. */
  readonly message: string;
  readonly severity: 'error' | 'warning';
}

export class Problems {
  readonly list: FirewallProblem[] = [];

  error(path: Path, message: string): void {
    this.list.push({ path, message, severity: 'error' });
  }

  warn(path: Path, message: string): void {
    this.list.push({ path, message, severity: 'warning' });
  }
}

/** A plain YAML mapping, or undefined. */
export function asMap(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
}

/** Value as the operator wrote it, shortened, for messages. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
