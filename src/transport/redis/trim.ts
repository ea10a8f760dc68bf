import type { Redis } from 'ioredis';
import { clearTimer, monotonicTime, setTimer } from '../../internal/clock.ts';
import { PARKED, type Report, type StreamSourceOptions } from '../source.ts';
import type { Timings } from '../timings.ts';
import { trimmingOf, upToOwn, type Need, type Trimming } from '../trimming.ts';
import type { Connections } from './connections.ts';
import { silentKey } from './group-admin.ts';
import { consumerRows, groupRows, lowestPending, type GroupRow } from './replies.ts';
import { evenWithoutMemory } from './script.ts';

/** The options of a reader that concern trimming. */
type Trimmed = Pick<StreamSourceOptions, 'name' | 'group' | 'trimPast'>;

/**
 * Keeps a stream near `maxlen` entries. It trims entries that every group has handled, but for groups that are
 * silent for `trimPast`, at most once in `timings.trim` milliseconds.
 */
export class Trimmer {
  readonly #client: Redis;
  readonly #options: Trimmed;
  readonly #maxlen: number;
  readonly #timings: Timings;
  readonly #report: Report;
  #trimmed = -Infinity;
  /** Runs where entries were acknowledged since the last time. */
  #next: NodeJS.Timeout | undefined;

  constructor({ client, timings }: Connections, options: Trimmed, maxlen: number, report: Report) {
    this.#client = client;
    this.#options = options;
    this.#maxlen = maxlen;
    this.#timings = timings;
    this.#report = report;
  }

  /** Entries were acknowledged: trims now, or as soon as it may again, so that the last of them are trimmed, too. */
  acknowledged(): Promise<void> | undefined {
    if (this.#next !== undefined) return undefined;
    const wait = this.#trimmed + this.#timings.trim - monotonicTime();
    if (wait <= 0) return this.#trim();
    this.#next = setTimer(() => void this.#trim(), wait).unref();
    return undefined;
  }

  /** Nothing more is acknowledged: trims now what would have been trimmed a little later. */
  async finish(): Promise<void> {
    if (this.#next !== undefined) await this.#trim();
  }

  async #trim(): Promise<void> {
    clearTimer(this.#next);
    this.#next = undefined;
    this.#trimmed = monotonicTime();
    // Without a connection, whoever acknowledges next trims.
    if (this.#client.status !== 'ready') return;
    const { name } = this.#options;
    try {
      const excess = (await this.#client.xlen(name)) - this.#maxlen;
      if (excess <= 0) return;
      const trimming = await redisTrimming(this.#client, this.#options, this.#timings.keyLife);
      if (trimming !== undefined)
        await this.#client.xtrim(name, 'MINID', '~', trimming.floor, 'LIMIT', excess);
    } catch (error) {
      // The connection was lost or closed meanwhile.
      if (this.#client.status !== 'ready') return;
      this.#report(`stream '${name}' could not be trimmed`, error);
    }
  }
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
