import type { Redis } from 'ioredis';
import { backoff } from '../../internal/backoff.ts';
import { pause } from '../../internal/deferred.ts';
import type { Timings } from '../timings.ts';

/**
 * Calls `act` until it succeeds, with growing pauses. `failed` is called with the first error. Returns
 * undefined where the connection is over before, or `isOver` says so after an error.
 */
export async function insist<T>(
  { client, timings }: { readonly client: Redis; readonly timings: Timings },
  act: () => Promise<T>,
  failed: (error: unknown) => void,
  isOver: () => boolean = () => false,
): Promise<{ readonly value: T } | undefined> {
  for (let failures = 0; ; failures++) {
    try {
      return { value: await act() };
    } catch (error) {
      if (client.status === 'end' || isOver()) return undefined;
      if (failures === 0) failed(error);
    }
    await pause(backoff(failures, timings.insistMin, timings.insistMax));
  }
}
