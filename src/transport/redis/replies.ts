// Raw replies become typed values here and nowhere else: ioredis types most of them as `unknown`.
import type { Delivery } from '../source.ts';

/** The field of a stream entry that holds the frame, as in FastStream. */
export const DATA_FIELD = '__data__';

/** One entry of a stream: its id, and its fields and values in turn; `null` where it was deleted. */
export type Entry = [id: Buffer, fields: Buffer[] | null];

/** XRANGE and XCLAIM, as buffers. */
export function entries(reply: unknown): Entry[] {
  return (reply ?? []) as Entry[];
}

/** XREAD and XREADGROUP of one stream; none where the read found nothing. */
export function entriesRead(reply: unknown): Entry[] {
  const streams = reply as [key: Buffer, entries: Entry[]][] | null;
  return streams?.[0]?.[1] ?? [];
}

/** The script that takes parked entries: when the next is due, and entries with their counts. */
export function entriesUnparked(reply: unknown): {
  readonly due: number | undefined;
  readonly taken: [entry: Entry, count: number][];
} {
  if (reply === null) return { due: undefined, taken: [] };
  const [due, ...rest] = reply as [number, ...unknown[]];
  const taken: [Entry, number][] = [];
  for (let i = 0; i + 1 < rest.length; i += 2)
    taken.push([rest[i] as Entry, rest[i + 1] as number]);
  return { due: due < 0 ? undefined : due, taken };
}

export function idOf(entry: Entry): string {
  return entry[0].toString('latin1');
}

export function delivery(key: string, entry: Entry, count: number): Delivery {
  return { frame: frameOf(entry[1] ?? []), name: key, id: idOf(entry), count };
}

/** BLMPOP: the items of the one list that it read. */
export function itemsPopped(reply: unknown): Buffer[] {
  return (reply as [key: Buffer, items: Buffer[]] | null)?.[1] ?? [];
}

/** BLPOP: one item. */
export function itemPopped(reply: unknown): Buffer | undefined {
  return (reply as [key: Buffer, item: Buffer] | null)?.[1];
}

/** BLMOVE: one item. */
export function itemMoved(reply: unknown): Buffer | undefined {
  return (reply as Buffer | null) ?? undefined;
}

/** LRANGE, LPOP with a count, and scripts that return items. */
export function items(reply: unknown): Buffer[] {
  return (reply ?? []) as Buffer[];
}

export interface PendingRow {
  readonly id: string;
  readonly consumer: string;
  /** How often the entry has been delivered. */
  readonly count: number;
}

/** XPENDING with a range. */
export function pendingRows(reply: unknown): PendingRow[] {
  const rows = reply as [id: unknown, consumer: unknown, idle: number, count: number][];
  return rows.map(([id, consumer, , count]) => ({
    id: String(id),
    consumer: String(consumer),
    count,
  }));
}

/** XPENDING without a range: the lowest id that is pending; undefined where none is. */
export function lowestPending(reply: unknown): string | undefined {
  return (reply as [count: number, lowest: string | null])[1] ?? undefined;
}

export interface GroupRow {
  readonly name: string;
  readonly pending: number;
  readonly consumers: number;
  readonly lastDeliveredId: string;
  /** Undefined before Redis 7, and where deletions have made it unknown. */
  readonly lag: number | undefined;
}

/** XINFO GROUPS. */
export function groupRows(reply: unknown): GroupRow[] {
  return (reply as unknown[][]).map((row) => {
    const lag = fieldIn(row, 'lag');
    return {
      name: String(fieldIn(row, 'name')),
      pending: Number(fieldIn(row, 'pending')),
      consumers: Number(fieldIn(row, 'consumers')),
      lastDeliveredId: String(fieldIn(row, 'last-delivered-id')),
      lag: typeof lag === 'number' ? lag : undefined,
    };
  });
}

export interface ConsumerRow {
  readonly name: string;
  readonly pending: number;
  /** Milliseconds since the consumer last asked for something. */
  readonly idle: number;
}

/** XINFO CONSUMERS. */
export function consumerRows(reply: unknown): ConsumerRow[] {
  return (reply as unknown[][]).map((row) => ({
    name: String(fieldIn(row, 'name')),
    pending: Number(fieldIn(row, 'pending')),
    idle: Number(fieldIn(row, 'idle')),
  }));
}

/** XINFO STREAM: the newest id that the stream has given. */
export function lastGeneratedId(reply: unknown): string {
  return String(fieldIn(reply as unknown[], 'last-generated-id'));
}

/** HGETALL: RESP2 sends one flat list, RESP3 a map, which ioredis may make an object of. */
export function fieldsAndValues(reply: unknown): [field: string, value: string][] {
  return pairsIn(reply).map(([field, value]) => [String(field), String(value)]);
}

/** HGETALL, with the values as buffers. */
export function fieldsAndBuffers(reply: unknown): [field: string, value: Buffer][] {
  return pairsIn(reply).map(([field, value]) => [String(field), value as Buffer]);
}

/** The script that takes items of a reliable list: when something parked is due, and tokens and items. */
export function itemsTaken(reply: unknown): {
  readonly due: number | undefined;
  readonly taken: [token: string, item: Buffer][];
} {
  if (reply === null) return { due: undefined, taken: [] };
  const [due, ...rest] = reply as [number, ...Buffer[]];
  return { due: due < 0 ? undefined : due, taken: fieldsAndBuffers(rest) };
}

function pairsIn(reply: unknown): [unknown, unknown][] {
  if (reply === null) return [];
  if (reply instanceof Map) return [...reply];
  if (!Array.isArray(reply)) return Object.entries(reply as object);
  if (Array.isArray(reply[0])) return reply as [unknown, unknown][];
  const pairs: [unknown, unknown][] = [];
  for (let i = 0; i + 1 < reply.length; i += 2) pairs.push([reply[i], reply[i + 1]]);
  return pairs;
}

/** A field of one row of XINFO, in which names and values stand in turn; undefined where the server does not know it. */
function fieldIn(row: readonly unknown[], name: string): unknown {
  // In steps of two: a group or a consumer may be called `pending`.
  for (let i = 0; i < row.length; i += 2) if (row[i] === name) return row[i + 1];
  return undefined;
}

/** Our frame, or the fields of an entry that somebody else wrote. */
export function frameOf(fields: Buffer[]): Buffer | readonly Buffer[] {
  for (let i = 0; i + 1 < fields.length; i += 2) {
    if ((fields[i] as Buffer).toString('latin1') === DATA_FIELD) return fields[i + 1] as Buffer;
  }
  return fields;
}
