import { SetupError } from '../errors.ts';
import { tokensOf, type Token } from './glob.ts';

/** The parameters in a concrete channel name; undefined for a name that does not fit the template. */
export type MatchTemplate = (channel: string) => Readonly<Record<string, string>> | undefined;

/** A parameter in braces: letters, digits and `_`. */
const PARAMETER = /\{([a-zA-Z0-9_]+)\}/;

/** Literal parts and the names of parameters in turn: `logs.{level}` is `logs.`, `level` and an empty part. */
export function templateParts(channel: string, where: string): string[] {
  const parts = channel.split(PARAMETER);
  const names = parts.filter((_, i) => i % 2 === 1);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new SetupError(`${where}: channel '${channel}' names {${twice}} twice`);
  const [odd] = /\{[^{}]*\}/.exec(parts.filter((_, i) => i % 2 === 0).join('\0')) ?? [];
  if (odd === undefined) return parts;
  throw new SetupError(
    `${where}: '${odd}' in channel '${channel}' is not a parameter: its name must be letters, digits and _; set { pattern: false } if the braces are part of the name`,
  );
}

/**
 * Makes the test of a template, whose literal parts are globs where `isGlob` says so. A parameter takes
 * one character or more and no dot; of several ways to divide a name, the earlier parameters get as
 * much as they can. The time is linear in the length of the name: a name comes from whoever publishes,
 * and a regular expression of several `([^.]+)` backtracks for hours over an unfit one.
 */
export function templateMatcher(
  prefix: string,
  parts: readonly string[],
  isGlob: boolean,
): MatchTemplate {
  const names = parts.filter((_, i) => i % 2 === 1);
  const literals = parts.filter((_, i) => i % 2 === 0);
  if (isGlob && literals.some((part) => /[*?[\\]/.test(part)))
    return globTemplateMatcher(prefix, parts, names);
  literals[0] = prefix + (literals[0] as string);
  return (channel) => divide(channel, literals, names);
}

/**
 * From the end: where the last parameter begins as late as possible, those before it have the most
 * room, and it has the fewest characters that could be a dot.
 */
function divide(
  channel: string,
  literals: readonly string[],
  names: readonly string[],
): Record<string, string> | undefined {
  const first = literals[0] as string;
  const last = literals.at(-1) as string;
  if (!channel.startsWith(first) || !channel.endsWith(last)) return undefined;
  const values: Record<string, string> = {};
  const found: string[] = [];
  let end = channel.length - last.length;
  for (let i = names.length - 1; i >= 0; i--) {
    const before = literals[i] as string;
    // The literal ends one character before the parameter's last, at the latest.
    const latest = end - 1 - before.length;
    const at = i === 0 ? 0 : latest < 0 ? -1 : channel.lastIndexOf(before, latest);
    const start = at + before.length;
    if (at < 0 || start >= end || (i > 0 && at < first.length)) return undefined;
    const value = channel.slice(start, end);
    if (value.includes('.')) return undefined;
    found.push(value);
    end = at;
  }
  for (const [i, name] of names.entries()) setOwn(values, name, found.at(-1 - i) as string);
  return values;
}

/** `{__proto__}` is a parameter like any other. */
function setOwn(values: Record<string, string>, name: string, value: string): void {
  Object.defineProperty(values, name, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

/** What one step of a glob template takes: a token of a glob, or a parameter. */
type Step = Token | 'parameter';

/** Tries every step at every character once, from the end; then takes the longest way from the start. */
function globTemplateMatcher(
  prefix: string,
  parts: readonly string[],
  names: readonly string[],
): MatchTemplate {
  const steps: Step[] = literalSteps(prefix);
  for (const [i, part] of parts.entries()) {
    if (i % 2 === 1) steps.push('parameter');
    else steps.push(...tokensOf(part));
  }
  return (channel) => {
    const length = channel.length;
    const width = length + 1;
    // fits[step * width + at]: the steps from this one on match the name from `at` on.
    const fits = new Uint8Array((steps.length + 1) * width);
    fits[steps.length * width + length] = 1;
    for (let s = steps.length - 1; s >= 0; s--) {
      const step = steps[s] as Step;
      const [own, next] = [s * width, (s + 1) * width];
      for (let at = length; at >= 0; at--) {
        const char = channel[at];
        if (step === '*') {
          fits[own + at] = fits[next + at] || (char === undefined ? 0 : (fits[own + at + 1] ?? 0));
        } else if (char === undefined) {
          fits[own + at] = 0;
        } else if (step === 'parameter') {
          const goesOn = fits[next + at + 1] || fits[own + at + 1];
          fits[own + at] = char !== '.' && goesOn ? 1 : 0;
        } else {
          fits[own + at] = step(char) ? (fits[next + at + 1] ?? 0) : 0;
        }
      }
    }
    if (fits[0] === 0) return undefined;
    const values: Record<string, string> = {};
    let at = 0;
    let named = 0;
    for (const [s, step] of steps.entries()) {
      const [own, next] = [s * width, (s + 1) * width];
      const start = at;
      if (step === '*') {
        while (at < length && fits[own + at + 1] === 1) at++;
        // The longest way may end before: at the last place from which the rest fits.
        while (fits[next + at] === 0) at--;
      } else if (step === 'parameter') {
        at++;
        while (at < length && fits[own + at] === 1 && channel[at] !== '.') at++;
        while (fits[next + at] === 0) at--;
        setOwn(values, names[named++] as string, channel.slice(start, at));
      } else {
        at++;
      }
    }
    return values;
  };
}

/** One step for each code unit, as a glob's tokens are. */
function literalSteps(text: string): Step[] {
  return text.split('').map((unit) => (other: string) => other === unit);
}
