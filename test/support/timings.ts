import { TIMINGS, type Timings } from '../../src/transport/timings.ts';

/** What a connection needs on a busy machine, in milliseconds. */
const CONNECT_MIN = 1_000;

/** The transports' waiting times, all of them shorter by one factor, since some depend on others; connecting has a second. */
export function timesDividedBy(factor: number): Timings {
  const times = Object.entries<number>({ ...TIMINGS });
  const shorter = times.map(([name, ms]) => [name, Math.round(ms / factor)]);
  const connect = Math.max(CONNECT_MIN, Math.round(TIMINGS.connect / factor));
  return { ...(Object.fromEntries(shorter) as Timings), connect };
}

/** Consumers that are gone are missed sooner by this factor; connections have as much time as ever, on a busy machine too. */
export function missedSooner(factor: number): Timings {
  const { connect, ping, pong, blockGrace, suspicion, readerReconnect, leave } = TIMINGS;
  const asEver = { connect, ping, pong, blockGrace, suspicion, readerReconnect, leave };
  return { ...timesDividedBy(factor), ...asEver };
}
