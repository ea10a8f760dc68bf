import type { RedisBroker } from '../index.ts';

type Client = RedisBroker['client'];

/** Keys looked at in one round trip. */
const SCAN_COUNT = 1_000;

/** Places asked about in one round trip. */
const PAGE = 100;

export interface Group {
  readonly name: string;
  readonly lag: number | null;
  readonly pending: number;
  readonly consumers: number;
}

/** A place under a prefix, as Redis knows it. */
export interface Place {
  readonly kind: 'channel' | 'list' | 'stream';
  /** The full name. */
  readonly name: string;
  /** Items of a list, entries of a stream; of a channel, its receivers, those by a pattern left out. */
  readonly length: number;
  /** Of a stream: how many entries it has ever had (since Redis 7). */
  readonly added: number | null;
  readonly groups: readonly Group[];
}

/** Where something was found. */
export type Found = Pick<Place, 'kind' | 'name'>;

/**
 * Streams, lists and channels with receivers, by kind and name: `max` at most, and whether there are
 * more. Keys and channels of redstart's own are left out (SCAN, PUBSUB CHANNELS).
 */
export async function findPlaces(
  { client, prefix }: RedisBroker,
  max: number,
): Promise<{ readonly places: readonly Found[]; readonly hasMore: boolean }> {
  const [streams, lists, channels] = await Promise.all([
    keysOf(client, prefix, 'stream', max),
    keysOf(client, prefix, 'list', max),
    channelsOf(client, prefix, max),
  ]);
  const all = [
    ...streams.map((name) => ({ kind: 'stream' as const, name })),
    ...lists.map((name) => ({ kind: 'list' as const, name })),
    ...channels.map((name) => ({ kind: 'channel' as const, name })),
  ];
  return { places: all.slice(0, max), hasMore: all.length > max };
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
      const [, receivers] = (await client.pubsub('NUMSUB', name)) as [string, number];
      return { kind, name, length: receivers, added: null, groups: [] };
    }
    const [stream, groups] = (await Promise.all([
      client.xinfo('STREAM', name),
      client.xinfo('GROUPS', name),
    ])) as [unknown[], unknown[][]];
    const added = fieldIn(stream, 'entries-added');
    return {
      kind,
      name,
      length: Number(fieldIn(stream, 'length')),
      added: typeof added === 'number' ? added : null,
      groups: groups.map(groupIn),
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
  const found = new Set<string>();
  let cursor = '0';
  do {
    const match = `${escapeGlob(prefix)}*`;
    const page = await client.scan(cursor, 'MATCH', match, 'COUNT', SCAN_COUNT, 'TYPE', type);
    cursor = page[0];
    for (const name of page[1]) if (!isOurs(name, prefix)) found.add(name);
  } while (cursor !== '0' && found.size <= max);
  return [...found].toSorted();
}

async function channelsOf(client: Client, prefix: string, max: number): Promise<string[]> {
  const all = (await client.pubsub('CHANNELS', `${escapeGlob(prefix)}*`)) as string[];
  return all
    .filter((name) => !isOurs(name, prefix))
    .toSorted()
    .slice(0, max + 1);
}

/** Whether it is of redstart's own: beside a place, an inbox, the control channel. */
function isOurs(name: string, prefix: string): boolean {
  return name.startsWith('redstart:') || name.startsWith(`${prefix}redstart:`);
}

function groupIn(row: unknown[]): Group {
  const lag = fieldIn(row, 'lag');
  return {
    name: String(fieldIn(row, 'name')),
    lag: typeof lag === 'number' ? lag : null,
    pending: Number(fieldIn(row, 'pending')),
    consumers: Number(fieldIn(row, 'consumers')),
  };
}

/** A field of a reply that has names and values in turn. */
function fieldIn(row: readonly unknown[], name: string): unknown {
  for (let i = 0; i + 1 < row.length; i += 2) if (row[i] === name) return row[i + 1];
  return undefined;
}

function escapeGlob(text: string): string {
  return text.replaceAll(/[*?[\]\\]/g, (character) => `\\${character}`);
}
