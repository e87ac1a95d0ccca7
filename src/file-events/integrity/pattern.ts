/** The pattern language of integrity rules: `/` separates levels, `*` and `?` stay within one, `**` stands for any number of levels. */

/** @throws Error that says what is wrong with the pattern */
export function compilePattern(pattern: string): RegExp {
  if (!pattern.startsWith('/')) throw new Error(`"${pattern}" must begin with /`);
  const levels = pattern.split('/').slice(1);
  let source = '^';
  levels.forEach((level, i) => {
    if (level === '**') {
      // Zero levels too: /etc/**/x matches /etc/x.
      source += i === levels.length - 1 ? '(?:/.*)?' : '(?:/[^/]+)*';
      return;
    }
    if (level.includes('**')) throw new Error(`"${pattern}": ** must stand alone between two /`);
    source += `/${level.replace(/[.+^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '[^/]*').replace(/\?/g, '[^/]')}`;
  });
  return new RegExp(`${source}$`, 's');
}

/** The fixed directory in front of the first wildcard: nothing that matches is outside of it. */
export function fixedPart(pattern: string): string {
  const levels = pattern.split('/');
  const wild = levels.findIndex((level) => /[*?]/.test(level));
  if (wild < 0) return pattern === '/' ? '/' : pattern.replace(/\/$/, '');
  return levels.slice(0, wild).join('/') || '/';
}
