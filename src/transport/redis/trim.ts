import type { Redis } from 'ioredis';
import { monotonicTime } from '../../internal/clock.ts';
import { PARKED, type StreamSourceOptions } from '../source.ts';
import type { Timings } from '../timings.ts';
import { trimmingOf, upToOwn, type Need, type Trimming } from '../trimming.ts';
import { silentKey } from './group-admin.ts';
import { consumerRows, groupRows, lowestPending, type GroupRow } from './replies.ts';
import { evenWithoutMemory } from './script.ts';

/** The options of a reader that concern trimming. */
type Trimmed = Pick<StreamSourceOptions, 'name' | 'group' | 'trimPast'>;

/**
 * Makes a function that keeps a stream near `maxlen` entries. It trims entries that every group has
 * handled, but for groups that are silent for `trimPast`, at most once in `timings.trim` milliseconds.
 * To be called after acknowledging.
 */
export function trimmer(
  client: Redis,
  options: Trimmed,
  maxlen: number,
  timings: Timings,
): () => Promise<void> {
  let trimmed = -Infinity;
  return async () => {
    if (monotonicTime() - trimmed < timings.trim) return;
    trimmed = monotonicTime();
    const { name } = options;
    const excess = (await client.xlen(name)) - maxlen;
    if (excess <= 0) return;
    const trimming = await redisTrimming(client, options, timings.keyLife);
    if (trimming !== undefined)
      await client.xtrim(name, 'MINID', '~', trimming.floor, 'LIMIT', excess);
  };
}

/** With `noteLife`, notes since when groups have no consumers, for that many milliseconds beyond `trimPast`. */
export async function redisTrimming(
  client: Redis,
  options: Trimmed,
  noteLife?: number,
): Promise<Trimming | undefined> {
  const { name, trimPast } = options;
  const length = await client.xlen(name);
  const rows = groupRows(await client.xinfo('GROUPS', name));
  const needs = upToOwn(
    await Promise.all(rows.map((row) => needOf(client, name, row))),
    options.group as string,
  );
  let silent = 0;
  if (trimPast !== undefined)
    for (; silent < needs.length - 1; silent++) {
      const row = rows.find((one) => one.name === needs[silent]?.group) as GroupRow;
      if ((await silenceOf(client, name, row, trimPast, noteLife)) < trimPast) break;
    }
  return trimmingOf(length, needs, silent);
}

async function needOf(client: Redis, key: string, row: GroupRow): Promise<Need> {
  const { name, pending, lastDeliveredId } = row;
  const lowest = pending === 0 ? undefined : lowestPending(await client.xpending(key, name));
  return { group: name, from: lowest ?? lastDeliveredId };
}

/**
 * Milliseconds for which nobody is known to have read for a group. Of one without consumers Redis does not keep it: whoever
 * trims notes it, beside how far the group had come. One that has moved since then was read meanwhile.
 */
async function silenceOf(
  client: Redis,
  stream: string,
  { name, lastDeliveredId }: GroupRow,
  trimPast: number,
  noteLife: number | undefined,
): Promise<number> {
  const consumers = consumerRows(await client.xinfo('CONSUMERS', stream, name));
  const reading = consumers.filter((one) => one.name !== PARKED);
  if (reading.length > 0) return Math.min(...reading.map(({ idle }) => idle));
  const key = silentKey(stream);
  const [[seconds, micros], note] = await Promise.all([client.time(), client.hget(key, name)]);
  const now = Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
  const [since, noted] = (note ?? '').split(' ');
  if (noted === lastDeliveredId) return now - Number(since);
  if (noteLife === undefined) return 0;
  await evenWithoutMemory(client, key, 'HSET', key, name, `${now} ${lastDeliveredId}`);
  await client.pexpire(key, Math.ceil(trimPast) + noteLife);
  return 0;
}
