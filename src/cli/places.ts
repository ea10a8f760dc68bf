import type { RedisBroker } from '../index.ts';
import {
  channelsUnder,
  fieldsOf,
  groupsOf,
  isOurs,
  listenersOf,
  nodesOf,
  under,
  type Client,
  type GroupNumbers,
} from '../integrations/keys.ts';

/** Keys looked at in one round trip. */
const SCAN_COUNT = 1_000;

/** Places asked about in one round trip. */
const PAGE = 100;

/** A place under a prefix, as Redis knows it. */
export interface Place {
  readonly kind: 'channel' | 'list' | 'stream';
  /** The full name. */
  readonly name: string;
  /** Items of a list, entries of a stream; of a channel, its receivers, those by a pattern left out. */
  readonly length: number;
  /** Of a stream: how many entries it has ever had (since Redis 7). */
  readonly added: number | null;
  readonly groups: readonly GroupNumbers[];
}

/** Where something was found. */
export type Found = Pick<Place, 'kind' | 'name'>;

/**
 * Streams, lists and channels with receivers, by kind and name: `max` at most, and whether there are
 * more, on every node of a cluster. Keys and channels of redstart's own are left out (SCAN, PUBSUB CHANNELS).
 */
export async function findPlaces(
  { client, prefix }: RedisBroker,
  max: number,
): Promise<{ readonly places: readonly Found[]; readonly hasMore: boolean }> {
  const [streams, lists, channels] = await Promise.all([
    keysOf(client, prefix, 'stream', max),
    keysOf(client, prefix, 'list', max),
    channelsUnder(client, prefix),
  ]);
  const all = [
    ...streams.map((name) => ({ kind: 'stream' as const, name })),
    ...lists.map((name) => ({ kind: 'list' as const, name })),
    ...channels.map((name) => ({ kind: 'channel' as const, name })),
  ];
  return { places: all.slice(0, max), hasMore: all.length > max };
}

/** The line for a prefix under which there is no place. */
export function nothingUnder(prefix: string): string {
  return `there is nothing${prefix === '' ? '' : ` that begins with '${prefix}'`}`;
}

/** What Redis knows of places; those that have gone are left out (XINFO, LLEN, PUBSUB NUMSUB). */
export async function lookAt(client: Client, found: readonly Found[]): Promise<Place[]> {
  const places: Place[] = [];
  for (let i = 0; i < found.length; i += PAGE) {
    const asked = found.slice(i, i + PAGE).map((one) => placeAt(client, one));
    for (const place of await Promise.all(asked)) if (place !== undefined) places.push(place);
  }
  return places;
}

/** What kind of place a full name is: undefined for one that is no list and no stream. */
export async function kindAt(client: Client, name: string): Promise<'list' | 'stream' | undefined> {
  const type = await client.type(name);
  return type === 'list' || type === 'stream' ? type : undefined;
}

async function placeAt(client: Client, { kind, name }: Found): Promise<Place | undefined> {
  try {
    if (kind === 'list')
      return { kind, name, length: await client.llen(name), added: null, groups: [] };
    if (kind === 'channel') {
      const receivers = await listenersOf(client, [name]);
      return { kind, name, length: receivers.get(name) ?? 0, added: null, groups: [] };
    }
    const [stream, groups] = await Promise.all([
      client.xinfo('STREAM', name) as Promise<unknown[]>,
      groupsOf(client, name),
    ]);
    const { length, 'entries-added': added } = fieldsOf(stream);
    return {
      kind,
      name,
      length: Number(length),
      added: typeof added === 'number' ? added : null,
      groups,
    };
  } catch (error) {
    // It has gone since it was found, or has become something else.
    if (error instanceof Error && /no such key|WRONGTYPE/.test(error.message)) return undefined;
    throw error;
  }
}

async function keysOf(
  client: Client,
  prefix: string,
  type: string,
  max: number,
): Promise<string[]> {
  const match = under(prefix);
  const found = new Set<string>();
  for (const node of nodesOf(client)) {
    let cursor = '0';
    do {
      const page = await node.scan(cursor, 'MATCH', match, 'COUNT', SCAN_COUNT, 'TYPE', type);
      cursor = page[0];
      for (const name of page[1]) if (!isOurs(name, prefix)) found.add(name);
    } while (cursor !== '0' && found.size <= max);
  }
  return [...found].toSorted();
}
