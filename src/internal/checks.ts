/** Checks of what users pass, that say what was expected, what came and, for a slip, what was meant. */
import { SetupError } from '../errors.ts';

/** Throws for a key that is not known, and guesses which was meant. */
export function checkKeys(
  given: object,
  known: readonly string[],
  where: string,
  of: string,
): void {
  for (const key of Object.keys(given)) {
    if (known.includes(key) || (given as Record<string, unknown>)[key] === undefined) continue;
    const meant = known.find((other) => similar(key, other));
    throw new SetupError(
      `${where}: '${key}' is not an option of ${of}${meant === undefined ? '' : `, did you mean '${meant}'?`} (known: ${known.join(', ')})`,
    );
  }
}

export function expectMilliseconds(value: unknown, key: string, where: string): void {
  if (value === undefined || (typeof value === 'number' && value >= 0 && value < Infinity)) return;
  throw new SetupError(
    `${where}: '${key}' must be a number of milliseconds, 0 or more, got ${String(value)}`,
  );
}

export function expectCount(value: unknown, key: string, where: string): void {
  if (value !== undefined) requireCount(value, key, where);
}

/** The same for what must be given. */
export function requireCount(value: unknown, key: string, where: string): void {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return;
  throw new SetupError(
    `${where}: '${key}' must be a whole number, 1 or more, got ${String(value)}`,
  );
}

export function expectType(value: unknown, type: string, key: string, where: string): void {
  if (value === undefined || typeof value === type) return;
  throw new SetupError(`${where}: '${key}' must be a ${type}, got ${typeof value}`);
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Equal but for case, or one letter apart. */
export function similar(a: string, b: string): boolean {
  const [x, y] = [a.toLowerCase(), b.toLowerCase()];
  if (x === y || x.startsWith(y) || y.startsWith(x)) return true;
  let same = 0;
  while (same < x.length && x[same] === y[same]) same++;
  const [p, q] = [x.slice(same), y.slice(same)];
  return p.slice(1) === q || p === q.slice(1) || p.slice(1) === q.slice(1) || swapped(p) === q;
}

function swapped(text: string): string {
  return text.slice(1, 2) + text.slice(0, 1) + text.slice(2);
}
