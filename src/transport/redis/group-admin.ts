import { hostname } from 'node:os';
import type { Redis } from 'ioredis';
import { SetupError, messageOf } from '../../errors.ts';
import { randomId } from '../../internal/ids.ts';
import { missingStream, type StreamSourceOptions } from '../source.ts';
import { consumerRows } from './replies.ts';

/** XGROUP CREATE; an existing group stays as it is. */
export async function createGroup(
  client: Redis,
  { name, group, declare }: StreamSourceOptions,
  lastId: string,
): Promise<void> {
  try {
    if (declare) await client.xgroup('CREATE', name, group as string, lastId, 'MKSTREAM');
    else await client.xgroup('CREATE', name, group as string, lastId);
  } catch (cause) {
    const reason = messageOf(cause);
    if (reason.startsWith('BUSYGROUP')) return;
    if (reason.includes('requires the key to exist')) throw missingStream(name, cause);
    throw new SetupError(`group '${group}' cannot be created on stream '${name}': ${reason}`, {
      cause,
    });
  }
}

/** Matches the names that {@link makeUpName} returns. */
const MADE_UP = /-\d+-[\w-]{6}$/;

/** A consumer's name that is unique to this reader: host, process and a random end. */
export function makeUpName(): string {
  return `${hostname()}-${process.pid}-${randomId(6)}`;
}

/** Deletes a consumer that has nothing pending. Check and deletion are one step: an entry delivered between the two would be lost. */
const REMOVE = `
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
  return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
return -1`;

/** Removes consumers with made-up names that have been silent for `idle` milliseconds and own nothing. */
export async function removeGone(
  client: Redis,
  key: string,
  group: string,
  idle: number,
): Promise<void> {
  for (const row of consumerRows(await client.xinfo('CONSUMERS', key, group))) {
    if (row.pending > 0 || row.idle < idle || !MADE_UP.test(row.name)) continue;
    await client.eval(REMOVE, 1, key, group, row.name);
  }
}

/**
 * Leaves entries that were not started to the next consumer that scans: makes them idle for long enough
 * to be claimed at once, and sets their delivery count to `count`, without the delivery that was not handled.
 */
export async function handBack(
  client: Redis,
  { key, group, consumer }: { key: string; group: string; consumer: string },
  entries: readonly { readonly id: string; readonly count: number }[],
): Promise<void> {
  const counts = new Set(entries.map(({ count }) => count));
  for (const count of counts) {
    const ids = entries.filter((entry) => entry.count === count).map(({ id }) => id);
    const options = ['IDLE', LONG_IDLE, 'RETRYCOUNT', count, 'JUSTID'] as const;
    await client.call('XCLAIM', key, group, consumer, 0, ...ids, ...options);
  }
}

/** Milliseconds of idle time above every sensible `minIdle`: a day. */
const LONG_IDLE = 86_400_000;
