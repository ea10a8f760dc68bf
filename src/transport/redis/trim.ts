import type { Redis } from 'ioredis';
import { monotonicTime } from '../../internal/clock.ts';
import { groupRows, lowestPending } from './replies.ts';

/**
 * Keeps a stream near `maxlen` entries: a function to call now and then, which trims what every
 * group has handled, and no more, at most once in `interval` milliseconds. An entry that somebody still needs stays.
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

/** The lowest id that a group has pending, or the last that it was given. */
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
