/**
 * Exponential delay with full jitter, in milliseconds: a random time between `base` and
 * `base * 2^attempt`, at most `cap`. `attempt` counts from 0.
 */
export function backoff(attempt: number, base: number, cap: number): number {
  const ceiling = Math.min(cap, base * 2 ** Math.min(attempt, 30));
  return base + Math.random() * Math.max(0, ceiling - base);
}

/** Exponential delay with half jitter, in milliseconds: between half of `base * 2^attempt` and all of it, at most `cap`. */
export function halfJitter(attempt: number, base: number, cap: number): number {
  const full = Math.min(cap, base * 2 ** Math.min(attempt, 30));
  return full / 2 + (Math.random() * full) / 2;
}
