/** A complaint about a configuration file and the place it is about. */

export interface ConfigProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Path of the value, e.g. `ports[0].vlan.access`; '' for the whole file. */
  readonly path: string;
  readonly message: string;
  readonly severity: 'error' | 'warning';
}

export function formatProblem(p: ConfigProblem): string {
  return `${p.file}:${p.line}:${p.column}: ${p.severity}: ${p.path === '' ? '' : `${p.path}: `}${p.message}`;
}
