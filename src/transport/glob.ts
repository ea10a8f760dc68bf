/**
 * Redis globs (`*`, `?`, `[abc]`, `[^a-z]`, `\x`) as the server's own matcher reads them.
 */

/** What one step of a glob takes: any text, or one character that passes the test. */
export type Token = '*' | ((char: string) => boolean);

/** The steps of a glob. */
export function tokensOf(glob: string): Token[] {
  const tokens: Token[] = [];
  for (let i = 0; i < glob.length; i++) {
    const char = glob[i] as string;
    if (char === '*') {
      tokens.push('*');
    } else if (char === '?') {
      tokens.push(() => true);
    } else if (char === '\\' && i + 1 < glob.length) {
      const escaped = glob[++i] as string;
      tokens.push((other) => other === escaped);
    } else if (char === '[') {
      const [set, end] = readSet(glob, i);
      const expression = new RegExp(`^${set}$`);
      tokens.push((other) => expression.test(other));
      i = end;
    } else {
      tokens.push((other) => other === char);
    }
  }
  return tokens;
}

/**
 * A test for one glob, compiled once. Bytes are compared, as in Redis: `?` is half of an `é`. On a
 * mismatch it goes back to the last `*` alone, so that no name takes more than its length times the
 * glob's.
 */
export function globMatcher(glob: string): (name: string) => boolean {
  const tokens = tokensOf(bytes(glob));
  return (name) => {
    const text = bytes(name);
    let at = 0;
    let step = 0;
    let star = -1;
    let starAt = 0;
    while (at < text.length) {
      const token = tokens[step];
      if (token === '*') {
        star = step++;
        starAt = at;
      } else if (token?.(text[at] as string) === true) {
        step++;
        at++;
      } else if (star >= 0) {
        step = star + 1;
        at = ++starAt;
      } else {
        return false;
      }
    }
    while (tokens[step] === '*') step++;
    return step === tokens.length;
  };
}

function bytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** Escapes `text` so that, as a glob, it matches only itself. */
export function escapeGlob(text: string): string {
  return text.replace(/[*?[\]\\]/g, '\\$&');
}

/** Whether `text` has characters that mean something in a glob. */
export function hasGlob(text: string): boolean {
  return /[*?[\\]/.test(text);
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

/** Reads `[...]` from `start`; as in Redis a missing `]` ends at the last character. */
function readSet(glob: string, start: number): [source: string, end: number] {
  let i = start + 1;
  const negated = glob[i] === '^';
  if (negated) i++;
  let members = '';
  while (i < glob.length && glob[i] !== ']') {
    if (glob[i] === '\\' && i + 1 < glob.length) {
      members += escapeRegExp(glob[i + 1] as string);
      i += 2;
    } else if (glob[i + 1] === '-' && i + 2 < glob.length) {
      const [low, high] = [glob[i] as string, glob[i + 2] as string].sort() as [string, string];
      members += `${escapeRegExp(low)}-${escapeRegExp(high)}`;
      i += 3;
    } else {
      members += escapeRegExp(glob[i] as string);
      i++;
    }
  }
  if (members === '') return [negated ? '[^]' : '[]', i];
  return [`[${negated ? '^' : ''}${members}]`, i];
}
