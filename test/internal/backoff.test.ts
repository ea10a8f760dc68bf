import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoff } from '../../src/internal/backoff.ts';

function average(attempt: number): number {
  let sum = 0;
  for (let i = 0; i < 500; i++) sum += backoff(attempt, 10, 100_000);
  return sum / 500;
}

describe('a backoff', () => {
  it('lies between its base and the doubled base, and under its cap, at any attempt', () => {
    const numbers = fc.record({
      attempt: fc.oneof(fc.nat(40), fc.nat(100_000)),
      base: fc.integer({ min: 1, max: 10_000 }),
      more: fc.nat(1_000_000),
    });
    fc.assert(
      fc.property(numbers, ({ attempt, base, more }) => {
        const delay = backoff(attempt, base, base + more);
        expect(delay).toBeGreaterThanOrEqual(base);
        expect(delay).toBeLessThanOrEqual(Math.min(base * 2 ** attempt, base + more));
      }),
      { numRuns: 2_000 },
    );
  });

  it('begins at its base', () => {
    expect(backoff(0, 50, 5_000)).toBe(50);
  });

  it('differs from one process to the next, over all of its range', () => {
    const delays = Array.from({ length: 500 }, () => backoff(10, 10, 1_000));
    expect(new Set(delays).size).toBeGreaterThan(400);
    expect(Math.min(...delays)).toBeLessThan(250);
    expect(Math.max(...delays)).toBeGreaterThan(750);
  });

  it('grows with the attempts', () => {
    expect(average(8)).toBeGreaterThan(2 * average(5));
  });
});
