import { onTestFinished } from 'vitest';
import type { Finished } from './redis.ts';

/** Milliseconds between two looks at the clock. */
const TICK = 20;

/**
 * For how long this process was held up since the call, in milliseconds: by how much a timer of its own came late, in
 * all. A busy machine adds as much to whatever this process measures; a bound on a time that is promised is meant
 * without it.
 */
export function heldUp(finished: Finished = onTestFinished): () => number {
  let last = performance.now();
  let total = 0;
  const late = (): number => Math.max(0, performance.now() - last - TICK);
  const timer = setInterval(() => {
    total += late();
    last = performance.now();
  }, TICK);
  finished(() => clearInterval(timer));
  return () => total + late();
}
