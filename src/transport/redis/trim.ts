import type { Redis } from 'ioredis';
import { monotonicTime } from '../../internal/clock.ts';
import { groupRows, lowestPending } from './replies.ts';

/**
 * Makes a function that keeps a stream near `maxlen` entries. It trims entries that every group has
 * handled and no others, at most once in `interval` milliseconds. To be called after acknowledging.
 */
export function trimmer(
  client: Redis,
  key: string,
  maxlen: number,
  interval: number,
): () => Promise<void> {
  let trimmed = -Infinity;
  return async () => {
    if (monotonicTime() - trimmed < interval) return;
    trimmed = monotonicTime();
    const excess = (await client.xlen(key)) - maxlen;
    if (excess <= 0) return;
    const floor = await lowestNeeded(client, key);
    await client.xtrim(key, 'MINID', '~', floor, 'LIMIT', excess);
  };
}

/** The lowest id that any group has pending, or, of a group with none, the last that was delivered to it. */
async function lowestNeeded(client: Redis, key: string): Promise<string> {
  const groups = groupRows(await client.xinfo('GROUPS', key));
  const ids = await Promise.all(
    groups.map(async ({ name, pending, lastDeliveredId }) => {
      if (pending === 0) return lastDeliveredId;
      return lowestPending(await client.xpending(key, name)) ?? lastDeliveredId;
    }),
  );
  return ids.reduce(lower);
}

function lower(a: string, b: string): string {
  const [time = 0, sequence = 0] = a.split('-').map(Number);
  const [otherTime = 0, otherSequence = 0] = b.split('-').map(Number);
  return time < otherTime || (time === otherTime && sequence < otherSequence) ? a : b;
}
