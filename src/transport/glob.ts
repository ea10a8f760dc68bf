/**
 * Redis globs (`*`, `?`, `[abc]`, `[^a-z]`, `\x`) as the server's own matcher reads them.
 */

/** The source of a regular expression that matches what the glob matches, without anchors. */
export function globSource(glob: string): string {
  let source = '';
  for (let i = 0; i < glob.length; i++) {
    const char = glob[i] as string;
    if (char === '*') {
      source += '[^]*';
    } else if (char === '?') {
      source += '[^]';
    } else if (char === '\\' && i + 1 < glob.length) {
      source += escapeRegExp(glob[++i] as string);
    } else if (char === '[') {
      const [set, end] = readSet(glob, i);
      source += set;
      i = end;
    } else {
      source += escapeRegExp(char);
    }
  }
  return source;
}

/** A test for one glob, compiled once. Bytes are compared, as in Redis: `?` is half of an `é`. */
export function globMatcher(glob: string): (name: string) => boolean {
  const expression = new RegExp(`^${globSource(bytes(glob))}$`);
  return (name) => expression.test(bytes(name));
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

export function escapeRegExp(text: string): string {
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
