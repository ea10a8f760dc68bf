import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeGlob, globMatcher, hasGlob } from '../../src/transport/glob.ts';
import { rawClient, unique } from '../support/redis.ts';

describe('a glob', () => {
  it.each([
    ['a*c', 'abbc', true],
    ['a*c', 'ac', true],
    ['a*c', 'acd', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['*', 'a\nb', true],
    ['a.c', 'abc', false],
    ['[a-c]x', 'bx', true],
    ['[c-a]x', 'bx', true],
    ['[^a-c]x', 'bx', false],
    ['[^a]', '\n', true],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['a\\', 'a\\', true],
    ['[a', 'a', true],
    ['[]a', 'a', false],
    ['[\\]]', ']', true],
    ['?', 'é', false],
    ['??', 'é', true],
    ['(a|b)+$', '(a|b)+$', true],
    ['', '', true],
    ['', 'a', false],
  ])('reads %j against %j as Redis does: %s', (glob, text, matches) => {
    expect(globMatcher(glob)(text)).toBe(matches);
  });

  it('matches what PSUBSCRIBE matches, for any glob and any channel', async () => {
    const subscriber = rawClient();
    const publisher = rawClient();
    // Every glob and every channel begins alike, so that no other test's messages are matched.
    const prefix = unique('glob');
    const letters = Array.from('aab-cz*?[]^\\.é\n+$(');
    const glob = fc
      .array(fc.constantFrom(...letters, '*', '[', ']', 'a-c', '[^', '\\'), { maxLength: 8 })
      .map((parts) => parts.join(''));
    const channel = fc
      .array(fc.constantFrom(...letters), { maxLength: 5 })
      .map((parts) => parts.join(''));
    const channels = fc.array(channel, { minLength: 30, maxLength: 30 });
    // A range that ends in a byte above 0x7f depends on the server's CPU: whether its `char` has a
    // sign. Such a range promises nothing, so it is not asked for.
    const portable = fc.tuple(glob, glob).filter(([a, b]) => !/é-|-é/.test(a + b));
    const samples = fc.sample(fc.tuple(portable, channels), 400);

    let compared = 0;
    let matched = 0;
    for (const [[one, two], some] of samples) {
      const pattern = `${prefix}${one}${two}`;
      const names = [...some, one.replaceAll('*', 'a') + two, one + two, one, ''];
      await subscriber.psubscribe(pattern);
      const pipeline = publisher.pipeline();
      for (const name of names) pipeline.publish(prefix + name, '');
      const replies = (await pipeline.exec()) ?? [];
      await subscriber.punsubscribe(pattern);
      const matches = globMatcher(pattern);
      names.forEach((name, i) => {
        const expected = replies[i]?.[1] === 1;
        compared++;
        if (expected) matched++;
        expect({ pattern, name, matches: matches(prefix + name) }).toEqual({
          pattern,
          name,
          matches: expected,
        });
      });
    }
    // A comparison of nothing but misses would say little.
    expect(compared).toBeGreaterThan(10_000);
    expect(matched).toBeGreaterThan(150);
  });

  it('taken literally matches its own text and nothing else', () => {
    const text = fc.string({
      unit: fc.constantFrom(...Array.from('ab*?[]^\\-é\n.$')),
      maxLength: 10,
    });
    fc.assert(
      fc.property(text, text, (one, other) => {
        const matches = globMatcher(escapeGlob(one));
        expect(matches(one)).toBe(true);
        expect(matches(other)).toBe(one === other);
        expect(hasGlob(one) || globMatcher(one)(one)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});
