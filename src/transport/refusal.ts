import { ConnectionError, RedstartError, messageOf } from '../errors.ts';
import { describe, type Target } from './address.ts';

/** `WRONGTYPE Operation against …`: what a server answers instead of a reply. */
const REPLY = /^[A-Z]{2,} /;

/** The error of a question about a place that the server refuses: its words, and a code of ours. Any other error as it is. */
export function refusalOf(at: Target, error: unknown): unknown {
  const said = messageOf(error);
  if (error instanceof RedstartError || !REPLY.test(said)) return error;
  const place = describe(at);
  return new ConnectionError(place, `Redis refuses what is asked of ${place}: ${said}`, {
    cause: error,
  });
}

/** Asks a server about a place; see {@link refusalOf}. */
export async function asking<T>(at: Target, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw refusalOf(at, error);
  }
}
