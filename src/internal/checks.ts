/**
 * Checks of what users pass. Each error says where it is, what was expected, what was given and, for
 * a misspelt name, which name is similar. Checks of schemas, codecs and addresses are in src/api.
 */
import { SetupError } from '../errors.ts';
import type { Mistake } from './mistake.ts';

/** All options of one call, for checks that depend on another option. */
export type Given = Readonly<Record<string, unknown>>;

/** Throws {@link SetupError} if option `key` cannot have this value. Not called for `undefined`. */
export type Check = (value: unknown, key: string, where: string, all: Given) => void;

/** The names of a type's options; for a union, of all its members. Those that cannot be given do not count. */
export type Keys<T> = T extends unknown
  ? { [K in keyof T]-?: [Exclude<T[K], undefined>] extends [Mistake<string>] ? never : K }[keyof T]
  : never;

/** One check for each option of a type: with `satisfies`, an option without a check does not compile. */
export type Checks<T> = Readonly<Record<Keys<T> & string, Check>>;

/** Throws for an unknown option and for the first invalid value. Errors name an option with `prefix` before it. */
export function checkOptions(
  given: object,
  checks: Readonly<Record<string, Check>>,
  where: string,
  of: string,
  prefix = '',
): void {
  checkKeys(given, Object.keys(checks), where, of);
  const all = given as Given;
  for (const [key, check] of Object.entries(checks)) {
    if (all[key] !== undefined) check(all[key], prefix + key, where, all);
  }
}

/** Throws for an unknown key, and suggests a similar known one. */
export function checkKeys(
  given: object,
  known: readonly string[],
  where: string,
  of: string,
): void {
  for (const key of Object.keys(given)) {
    if (known.includes(key) || (given as Given)[key] === undefined) continue;
    const meant = known.find((other) => similar(key, other));
    throw new SetupError(
      `${where}: '${key}' is not an option of ${of}${meant === undefined ? '' : `, did you mean '${meant}'?`} (known: ${known.join(', ')})`,
    );
  }
}

/** A value as errors show it: `null`, `an array`, `the string 'x'`; without its type if that is `expected`. */
export function got(value: unknown, expected?: string): string {
  const type = typeof value;
  const article = type === expected ? '' : `the ${type} `;
  if (value === null || value === undefined || type === 'boolean') return String(value);
  if (Array.isArray(value)) return 'an array';
  if (type === 'object') return objectName(value);
  if (typeof value === 'string') return `${article}'${shortened(value)}'`;
  if (typeof value !== 'function') return `${article}${String(value)}`;
  return value.name === '' ? 'a function' : `the function ${value.name}`;
}

function objectName(value: object): string {
  const name: unknown = (value as { constructor?: { name?: unknown } }).constructor?.name;
  const isPlain = typeof name !== 'string' || name === '' || name === 'Object';
  return isPlain ? 'an object' : `an object of class ${name}`;
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

export function text(value: unknown, key: string, where: string): void {
  if (typeof value !== 'string') throw wrong(where, key, 'a string', value);
}

export function nonEmptyText(value: unknown, key: string, where: string): void {
  text(value, key, where);
  if (value === '') throw new SetupError(`${where}: '${key}' must not be empty`);
}

export function flag(value: unknown, key: string, where: string): void {
  if (typeof value !== 'boolean') throw wrong(where, key, 'a boolean', value);
}

export function func(value: unknown, key: string, where: string): void {
  if (typeof value !== 'function') throw wrong(where, key, 'a function', value);
}

export function count(value: unknown, key: string, where: string): void {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return;
  throw wrong(where, key, 'a whole number, 1 or more', value, 'number');
}

/** Milliseconds. Timers wait for any time (setTimer in internal/clock.ts). Runs for every call with a timeout, so it is only two comparisons. */
export function milliseconds(value: unknown, key: string, where: string): void {
  if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) return;
  throw wrong(where, key, 'a number of milliseconds, 0 or more', value, 'number');
}

/** Like {@link milliseconds}, or `null` for no limit. */
export function millisecondsOrNull(value: unknown, key: string, where: string): void {
  if (value === null) return;
  if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) return;
  const expected = 'a number of milliseconds, 0 or more (null waits for ever)';
  throw wrong(where, key, expected, value, 'number');
}

/** One of a few words. */
export function oneOf(words: readonly string[]): Check {
  const expected = words.length === 2 ? `'${words.join("' or '")}'` : `one of ${words.join(', ')}`;
  return (value, key, where) => {
    if (!words.includes(value as string)) throw wrong(where, key, expected, value, 'string');
  };
}

/** An object that has these functions; the error names the missing ones. */
export function functions(names: readonly string[], orElse = ''): Check {
  const expected = `have the functions ${names.slice(0, -1).join(', ')} and ${names.at(-1)}${orElse}`;
  return (value, key, where) => {
    const isHolder = (typeof value === 'object' && value !== null) || typeof value === 'function';
    const missing = names.filter(
      (name) => !isHolder || typeof (value as Given)[name] !== 'function',
    );
    if (missing.length === 0) return;
    const without = isHolder ? ` without ${missing.join(', ')}` : '';
    throw new SetupError(`${where}: '${key}' must ${expected}, got ${got(value)}${without}`);
  };
}

/** An object of options with their own checks; those in `required` must be given. */
export function options(
  checks: Readonly<Record<string, Check>>,
  required: readonly string[] = [],
): Check {
  return (value, key, where) => {
    if (!isObject(value)) throw wrong(where, key, 'an object', value);
    checkOptions(value, checks, where, `'${key}'`, `${key}.`);
    for (const name of required) {
      const one = (value as Given)[name];
      if (one === undefined) checks[name]?.(one, `${key}.${name}`, where, value as Given);
    }
  };
}

/** An option that has no effect unless another one is given, or unless that one has this `value`. */
export function needs(other: string, check: Check, value?: boolean): Check {
  const label = value === undefined ? `'${other}'` : `'${other}: ${value}'`;
  return (own, key, where, all) => {
    check(own, key, where, all);
    if (value === undefined ? all[other] !== undefined : all[other] === value) return;
    throw new SetupError(`${where}: '${key}' needs ${label}`);
  };
}

/** For an option that the code which reads it checks itself, such as the names of channels, lists and streams. */
export function checkedByReader(): void {}

/** The error `where: 'key' must be <expected>, got <value>`. */
export function wrong(
  where: string,
  key: string,
  expected: string,
  value: unknown,
  type?: string,
): SetupError {
  return new SetupError(`${where}: '${key}' must be ${expected}, got ${got(value, type)}`);
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether two words are equal but for case, one begins with the other, or one letter differs. */
export function similar(a: string, b: string): boolean {
  const [x, y] = [a.toLowerCase(), b.toLowerCase()];
  if (x === y || x.startsWith(y) || y.startsWith(x)) return true;
  let same = 0;
  while (same < x.length && x[same] === y[same]) same++;
  const [p, q] = [x.slice(same), y.slice(same)];
  return p.slice(1) === q || p === q.slice(1) || p.slice(1) === q.slice(1) || swapped(p) === q;
}

function swapped(word: string): string {
  return word.slice(1, 2) + word.slice(0, 1) + word.slice(2);
}
