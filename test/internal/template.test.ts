import { array, assert, constantFrom, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { channelPattern } from '../../src/transport/address.ts';
import { globMatcher } from '../../src/transport/glob.ts';

type Match = (name: string) => Readonly<Record<string, string>> | undefined;

function template(channel: string, pattern?: boolean, prefix = ''): Match {
  return channelPattern(channel, pattern, prefix, 'test').match as Match;
}

function escape(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

/** The regular expression that templates were once: right, and slow for some names. */
function byExpression(channel: string): Match {
  const parts = channel.split(/\{([a-zA-Z0-9_]+)\}/);
  const source = parts.map((part, i) => (i % 2 === 1 ? '([^.]+)' : escape(part))).join('');
  const names = parts.filter((_, i) => i % 2 === 1);
  return (name) => {
    const found = new RegExp(`^${source}$`).exec(name);
    return found === null
      ? undefined
      : Object.fromEntries(names.map((key, i) => [key, found[i + 1] as string]));
  };
}

/** The shortest of a few runs: the machine may be busy with other tests. */
function shortest(run: () => unknown): number {
  const times = Array.from({ length: 5 }, () => {
    const began = performance.now();
    run();
    return performance.now() - began;
  });
  return Math.min(...times);
}

describe('a template', () => {
  it.each([
    ['logs.{level}', 'logs.info', { level: 'info' }],
    ['logs.{level}', 'logs.a.b', undefined],
    ['logs.{level}', 'logs.', undefined],
    ['{tenant}-{region}-{id}', 'shop-eu-7', { tenant: 'shop', region: 'eu', id: '7' }],
    ['{tenant}-{region}-{id}', 'a-b-c-d', { tenant: 'a-b', region: 'c', id: 'd' }],
    ['{tenant}-{region}-{id}', '-----', { tenant: '-', region: '-', id: '-' }],
    ['{a}{b}', 'xyz', { a: 'xy', b: 'z' }],
    ['{a}{b}', 'x', undefined],
    ['x{a}.y{b}z', 'x1.y2z', { a: '1', b: '2' }],
    ['user:{id}:{id2}', 'user:1:2', { id: '1', id2: '2' }],
    ['{__proto__}', 'x', { ['__proto__']: 'x' }],
  ])('%s takes from %s', (channel, name, expected) => {
    expect(template(channel)(name)).toEqual(expected);
    // With other globs around, it is matched in another way.
    expect(template(`${channel}[!]`, true)(`${name}!`)).toEqual(expected);
  });

  it('divides every name as the regular expression did', () => {
    const chars = constantFrom('a', '-', '.', ':', 'é');
    const literal = array(chars, { maxLength: 2 }).map((all) => all.join(''));
    const name = array(chars, { maxLength: 12 }).map((all) => all.join(''));
    assert(
      property(array(literal, { minLength: 2, maxLength: 4 }), name, (literals, text) => {
        const channel = literals
          .slice(1)
          .reduce((all, part, i) => `${all}{p${i}}${part}`, literals[0] as string);
        const expected = byExpression(channel)(text);
        expect(template(channel)(text)).toEqual(expected);
        expect(template(`${channel}[!]`, true)(`${text}!`)).toEqual(expected);
      }),
      { numRuns: 3_000 },
    );
  });

  it('keeps the prefix apart from its parameters', () => {
    expect(template('{a}-{b}', undefined, 'x-')('x-1-2')).toEqual({ a: '1', b: '2' });
    expect(template('{a}-{b}', undefined, 'x-')('x-1')).toBeUndefined();
    expect(template('{a}*', true, 'é-')('é-12')).toEqual({ a: '12' });
  });

  it.each([
    ['{tenant}-{region}-{id}', undefined],
    ['{a}{b}{c}{d}', undefined],
    ['{a}--{b}--{c}', undefined],
    ['*{a}-*{b}-?{c}', true],
  ] as const)(
    '%s (pattern: %s) takes under 50 ms for an unfit name of 4000 characters',
    (channel, pattern) => {
      const match = template(channel, pattern);
      for (const name of [
        `${'-'.repeat(4_000)}.`,
        `.${'-'.repeat(4_000)}`,
        `${'a-'.repeat(2_000)}.`,
      ]) {
        expect(shortest(() => match(name))).toBeLessThan(50);
      }
    },
  );

  it('a glob of many stars takes under 50 ms for an unfit name of 4000 characters', () => {
    const matches = globMatcher('*a*a*a*a*b');
    const name = 'a'.repeat(4_000);
    expect(matches(name)).toBe(false);
    expect(shortest(() => matches(name))).toBeLessThan(50);
  });

  it.each(['user.{user-id}', 'x.{ id }', '{a.b}', 'x{}', '{größe}', '{a}.{b-c}'])(
    '%s: what is no parameter is refused, and the text says what is',
    (channel) => {
      expect(() => template(channel)).toThrow(/letters, digits and _; set \{ pattern: false \}/);
      expect(channelPattern(channel, false, '', 'test')).toMatchObject({
        name: channel,
        isPattern: false,
      });
    },
  );
});
