/** Line differences of two small texts, in the unified format, for integrity events. */

/** Lines of either text; beyond that only the change of size is told. */
const MAX_LINES = 4000;
/** Edits looked for; texts that differ more have no useful diff. */
const MAX_EDITS = 400;
const CONTEXT = 2;

/** Looks like text: valid UTF-8 without NUL. */
export function isText(bytes: Uint8Array): boolean {
  if (bytes.includes(0)) return false;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

type Edit = readonly [' ' | '-' | '+', string];

/** @returns the hunks, '' when the texts are equal, null when they differ too much to be shown */
export function textDiff(before: string, after: string): string | null {
  if (before === after) return '';
  const a = before.split('\n');
  const b = after.split('\n');
  if (a.length > MAX_LINES || b.length > MAX_LINES) return null;
  const edits = shortestEdit(a, b);
  return edits === null ? null : hunks(edits);
}

/** Myers, "An O(ND) difference algorithm" (1986), the greedy form: furthest reaching paths by number of edits. */
function shortestEdit(a: readonly string[], b: readonly string[]): Edit[] | null {
  const offset = MAX_EDITS + 1;
  let reach = new Int32Array(2 * offset + 1);
  const history: Int32Array[] = [];
  for (let d = 0; d <= MAX_EDITS; d++) {
    history.push(reach.slice());
    const next = reach.slice();
    for (let k = -d; k <= d; k += 2) {
      let x = k === -d || (k !== d && reach[offset + k - 1]! < reach[offset + k + 1]!) ? reach[offset + k + 1]! : reach[offset + k - 1]! + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x++;
        y++;
      }
      next[offset + k] = x;
      if (x >= a.length && y >= b.length) return backtrack(a, b, history, d, offset);
    }
    reach = next;
  }
  return null;
}

function backtrack(a: readonly string[], b: readonly string[], history: readonly Int32Array[], edits: number, offset: number): Edit[] {
  const found: Edit[] = [];
  let x = a.length;
  let y = b.length;
  for (let d = edits; d > 0; d--) {
    const reach = history[d]!;
    const k = x - y;
    const down = k === -d || (k !== d && reach[offset + k - 1]! < reach[offset + k + 1]!);
    const fromK = down ? k + 1 : k - 1;
    const fromX = reach[offset + fromK]!;
    const fromY = fromX - fromK;
    while (x > fromX && y > fromY && x > 0 && y > 0 && a[x - 1] === b[y - 1]) {
      found.push([' ', a[--x]!]);
      y--;
    }
    if (down) found.push(['+', b[--y]!]);
    else found.push(['-', a[--x]!]);
  }
  while (x > 0) {
    found.push([' ', a[--x]!]);
  }
  return found.toReversed();
}

function hunks(edits: readonly Edit[]): string {
  const lines: string[] = [];
  let oldLine = 1;
  let newLine = 1;
  for (let i = 0; i < edits.length; ) {
    const start = edits.findIndex((e, at) => at >= i && e[0] !== ' ');
    if (start < 0) break;
    let end = start;
    // Changes with less than two contexts between them are one hunk.
    for (let at = start, quiet = 0; at < edits.length && quiet <= 2 * CONTEXT; at++) {
      quiet = edits[at]![0] === ' ' ? quiet + 1 : 0;
      if (quiet === 0) end = at;
    }
    const from = Math.max(i, start - CONTEXT);
    const to = Math.min(edits.length, end + 1 + CONTEXT);
    for (; i < from; i++) {
      oldLine++;
      newLine++;
    }
    const part = edits.slice(from, to);
    const olds = part.filter((e) => e[0] !== '+').length;
    const news = part.filter((e) => e[0] !== '-').length;
    lines.push(`@@ -${oldLine},${olds} +${newLine},${news} @@`, ...part.map(([sign, text]) => sign + text));
    oldLine += olds;
    newLine += news;
    i = to;
  }
  return lines.join('\n');
}
