import { TIMINGS, type Timings } from '../../src/transport/timings.ts';

/** The transports' waiting times, all of them shorter by one factor, since some depend on others. */
export function timesDividedBy(factor: number): Timings {
  const times = Object.entries<number>({ ...TIMINGS });
  const shorter = times.map(([name, ms]) => [name, Math.round(ms / factor)]);
  return Object.fromEntries(shorter) as Timings;
}
