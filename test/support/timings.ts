import { TIMINGS, type Timings } from '../../src/transport/timings.ts';

/** For a connection to be made, in milliseconds: a busy machine may need seconds, and only a test that hangs needs this long. */
const CONNECT = 20_000;

/** The usual times, with as much of it to connect as a busy machine may need. */
export const PATIENT: Timings = { ...TIMINGS, connect: CONNECT };

/** The same for a program that a test tells to end: on a busy machine, too, it gives back what it has not begun. */
export const LEAVING: Timings = { ...PATIENT, leave: 20_000 };

/** Dead connections are not noticed while a test runs: it ends them itself, and must not be overtaken on a busy machine. */
export const UNWATCHED: Timings = { ...PATIENT, pong: 120_000, blockGrace: 120_000 };

/** The transports' waiting times, all of them shorter by one factor, since some depend on others; but for connecting. */
export function timesDividedBy(factor: number): Timings {
  const times = Object.entries<number>({ ...TIMINGS });
  const shorter = times.map(([name, ms]) => [name, Math.round(ms / factor)]);
  return { ...(Object.fromEntries(shorter) as Timings), connect: CONNECT };
}

/** Consumers that are gone are missed sooner by this factor; connections have as much time as ever, on a busy machine too. */
export function missedSooner(factor: number): Timings {
  const { ping, pong, blockGrace, suspicion, readerReconnect, leave } = TIMINGS;
  const asEver = { ping, pong, blockGrace, suspicion, readerReconnect, leave };
  return { ...timesDividedBy(factor), ...asEver };
}
