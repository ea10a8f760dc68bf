import { describe, expect, it } from 'vitest';
import { randomId } from '../../src/internal/ids.ts';

describe('a random id', () => {
  it.each([1, 12, 22, 500])('of %i letters and digits has exactly that many', (length) => {
    expect(randomId(length)).toMatch(new RegExp(`^[0-9A-Za-z]{${length}}$`));
  });

  it('does not come twice', () => {
    const ids = new Set(Array.from({ length: 50_000 }, () => randomId(12)));
    expect(ids.size).toBe(50_000);
  });

  it('uses each of the 62 letters and digits equally often', () => {
    const counts = new Map<string, number>();
    const length = 620_000;
    for (const letter of randomId(length)) counts.set(letter, (counts.get(letter) ?? 0) + 1);
    expect(counts.size).toBe(62);
    // 10 000 each with a deviation of 100; the letters that a plain `byte % 62` favours get 12 109.
    for (const count of counts.values()) expect(Math.abs(count - 10_000)).toBeLessThan(1_000);
  });
});
