import type { Delivery } from '../source.ts';

/** The field of a stream entry that holds the frame, as in FastStream. */
export const DATA_FIELD = '__data__';

/** One entry in a reply: its id, and its fields and values in turn (nothing where it was deleted). */
export type Entry = [id: Buffer, fields: Buffer[] | null];

/** The entries in the reply of a read of one stream. */
export function entriesOf(reply: unknown): Entry[] {
  const streams = reply as [key: Buffer, entries: Entry[]][] | null;
  return streams?.[0]?.[1] ?? [];
}

export function idOf(entry: Entry): string {
  return entry[0].toString('latin1');
}

export function delivery(key: string, entry: Entry, count: number): Delivery {
  return { frame: frameOf(entry[1] ?? []), name: key, id: idOf(entry), count };
}

/** Our frame, or the fields of an entry that somebody else wrote. */
function frameOf(fields: Buffer[]): Buffer | readonly Buffer[] {
  for (let i = 0; i + 1 < fields.length; i += 2) {
    if ((fields[i] as Buffer).toString('latin1') === DATA_FIELD) return fields[i + 1] as Buffer;
  }
  return fields;
}
