import { hostname } from 'node:os';
import type { Redis } from 'ioredis';
import { SetupError, messageOf } from '../errors.ts';
import { settledWithin } from '../internal/deferred.ts';
import { randomId } from '../internal/ids.ts';
import {
  missingStream,
  type Delivery,
  type Report,
  type Source,
  type StreamSourceOptions,
} from '../transport/transport.ts';
import type { Connections } from './connections.ts';
import { BLOCK, BlockingReader } from './reader.ts';
import { trimmer } from './trim.ts';

/** Milliseconds that tidying up at the end may take. */
const PATIENCE = 1_000;

/** The field of a stream entry that holds the frame, as in FastStream. */
export const DATA_FIELD = '__data__';

/** One entry in a reply: its id, and its fields and values in turn (nothing where it was deleted). */
type Entry = [id: Buffer, fields: Buffer[] | null];

/** A stream read on from an id, by everybody who does so: XREAD. */
export class StreamSource implements Source {
  readonly #key: string;
  readonly #reader: BlockingReader;
  #lastId: string;
  #stopped = false;

  static async open(connections: Connections, options: StreamSourceOptions): Promise<StreamSource> {
    const { name, lastId = '$' } = options;
    // `$` is made a concrete id once: sent with each read, it would skip what comes between two.
    const newest =
      lastId === '$' || !options.declare ? await newestId(connections.client, options) : '';
    const start = lastId === '$' ? newest : lastId;
    return new StreamSource(name, await BlockingReader.open(connections, name), start);
  }

  private constructor(key: string, reader: BlockingReader, start: string) {
    this.#key = key;
    this.#reader = reader;
    this.#lastId = start;
  }

  async read(max: number): Promise<Delivery[]> {
    while (!this.#stopped) {
      const args = ['COUNT', max, 'BLOCK', BLOCK, 'STREAMS', this.#key, this.#lastId];
      const entries = entriesOf(await this.#reader.run('xread', args));
      if (entries.length === 0) continue;
      const deliveries = entries.map((entry) => delivery(this.#key, entry, 1));
      this.#lastId = deliveries.at(-1)?.id as string;
      return deliveries;
    }
    return [];
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#reader.stop();
  }

  async close(): Promise<void> {
    await this.stop();
    this.#reader.close();
  }

  readonly takesBack = true;
  readonly settles = false;

  // Without a group nothing is pending.
  ack(): undefined {}
  nack(): void {}
  abandon(): void {}
}

/** A stream read by one consumer of a group: XREADGROUP, own pending entries first, XACK when settled. */
export class GroupSource implements Source {
  readonly takesBack = true;
  readonly settles = true;
  readonly #client: Redis;
  readonly #options: StreamSourceOptions;
  readonly #key: string;
  readonly #group: string;
  readonly #consumer: string;
  readonly #report: Report;
  readonly #reader: BlockingReader;

  /** Ids delivered here and not settled: history read after a reconnect must not deliver them again. */
  readonly #inFlight = new Set<string>();
  /** Entries on their way into a `read`. */
  #ready: Delivery[] = [];
  /** Own pending entries are read from here on; undefined once all have been. */
  #history: string | undefined = '0';
  #reading = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  readonly #retries = new Set<NodeJS.Timeout>();
  #acks: string[] = [];
  #acking: Promise<void> | undefined;
  readonly #trim: (() => Promise<void>) | undefined;
  #stopped = false;

  static async open(
    connections: Connections,
    options: StreamSourceOptions,
    report: Report,
  ): Promise<GroupSource> {
    await createGroup(connections.client, options, options.lastId ?? '0');
    const reader = await BlockingReader.open(connections, options.name);
    return new GroupSource(connections, options, report, reader);
  }

  private constructor(
    connections: Connections,
    options: StreamSourceOptions,
    report: Report,
    reader: BlockingReader,
  ) {
    this.#client = connections.client;
    this.#options = options;
    this.#key = options.name;
    this.#group = options.group as string;
    this.#consumer = options.consumer ?? `${hostname()}-${process.pid}-${randomId(6)}`;
    this.#report = report;
    const { maxlen } = options;
    if (maxlen !== undefined) this.#trim = trimmer(connections.client, options.name, maxlen);
    this.#reader = reader;
    reader.onReconnect = () => {
      // What the lost connection was bringing is in our pending entries by now.
      this.#history = '0';
    };
  }

  async read(max: number): Promise<Delivery[]> {
    for (;;) {
      if (this.#ready.length > 0) return this.#ready.splice(0, max);
      if (this.#stopped && !this.#reading) return [];
      if (this.#failure !== undefined) {
        const failure = this.#failure;
        this.#failure = undefined;
        throw failure;
      }
      // One read stays in flight while redelivered entries pass it by.
      if (!this.#reading) void this.#fetch(max);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#retries) clearTimeout(timer);
    this.#retries.clear();
    await this.#reader.stop();
    this.#wake?.();
  }

  async close(): Promise<void> {
    await this.stop();
    // Where the server is gone nothing can be tidied up, and nobody should wait for it.
    if (this.#acking !== undefined) await settledWithin(this.#acking, PATIENCE);
    this.#reader.close();
    if (this.#options.consumer !== undefined || this.#client.status !== 'ready') return;
    await settledWithin(this.#leave(), PATIENCE);
  }

  ack(settled: Delivery): Promise<void> | undefined {
    const id = settled.id as string;
    if (!this.#inFlight.delete(id)) return undefined;
    this.#acks.push(id);
    // All that settles in one tick is acknowledged by one XACK.
    return (this.#acking ??= new Promise((resolve) => {
      process.nextTick(() => void this.#flushAcks().then(resolve));
    }));
  }

  nack(settled: Delivery, delay: number): void {
    const id = settled.id as string;
    if (!this.#inFlight.has(id) || this.#stopped) return;
    const timer = setTimeout(() => {
      this.#retries.delete(timer);
      void this.#redeliver(settled);
    }, delay);
    this.#retries.add(timer);
  }

  // It stays in #inFlight, so that this process does not see it again; a restart does.
  abandon(): void {}

  async #fetch(max: number): Promise<void> {
    this.#reading = true;
    try {
      if (this.#history !== undefined) await this.#fetchHistory(this.#history, max);
      else await this.#fetchNew(max);
    } catch (error) {
      if (!(await this.#recreated(error))) this.#failure = error as Error;
    }
    this.#reading = false;
    this.#wake?.();
  }

  async #fetchNew(max: number): Promise<void> {
    const { noAck } = this.#options;
    const args = ['GROUP', this.#group, this.#consumer, 'COUNT', max, 'BLOCK', BLOCK];
    if (noAck) args.push('NOACK');
    const entries = entriesOf(
      await this.#reader.run('xreadgroup', [...args, 'STREAMS', this.#key, '>']),
    );
    for (const entry of entries) {
      const fresh = delivery(this.#key, entry, 1);
      if (!noAck) this.#inFlight.add(fresh.id as string);
      this.#ready.push(fresh);
    }
  }

  async #fetchHistory(from: string, max: number): Promise<void> {
    const args = ['GROUP', this.#group, this.#consumer, 'COUNT', max, 'STREAMS', this.#key, from];
    const entries = entriesOf(await this.#reader.run('xreadgroup', args));
    // A reconnect meanwhile starts history over; this page then comes again.
    if (this.#history !== from) return;
    if (entries.length === 0) {
      this.#history = undefined;
      return;
    }
    const first = idOf(entries[0] as Entry);
    const last = idOf(entries.at(-1) as Entry);
    this.#history = last;
    const counts = await this.#deliveryCounts(first, last, entries.length);
    const deleted: string[] = [];
    for (const entry of entries) {
      const id = idOf(entry);
      if (this.#inFlight.has(id)) continue;
      if (entry[1] === null) {
        deleted.push(id);
        continue;
      }
      this.#inFlight.add(id);
      this.#ready.push(delivery(this.#key, entry, counts.get(id) ?? 2));
    }
    // Trimmed or deleted while pending: nothing is left to handle.
    if (deleted.length > 0) await this.#client.xack(this.#key, this.#group, ...deleted);
  }

  async #deliveryCounts(first: string, last: string, count: number): Promise<Map<string, number>> {
    const rows = (await this.#client.xpending(
      this.#key,
      this.#group,
      first,
      last,
      count,
      this.#consumer,
    )) as [id: string, consumer: string, idle: number, count: number][];
    return new Map(rows.map(([id, , , deliveries]) => [id, deliveries]));
  }

  /** Takes a nacked entry again, so that Redis counts the delivery. */
  async #redeliver(before: Delivery): Promise<void> {
    const id = before.id as string;
    try {
      const entries = (await this.#client.callBuffer(
        'XCLAIM',
        this.#key,
        this.#group,
        this.#consumer,
        0,
        id,
      )) as Entry[];
      const entry = entries[0];
      // Acknowledged or deleted by somebody else meanwhile.
      if (entry?.[1] == null) this.#inFlight.delete(id);
      else this.#ready.push(delivery(this.#key, entry, before.count + 1));
      this.#wake?.();
    } catch (error) {
      if (this.#stopped) return;
      this.#report(
        `entry ${id} could not be taken up again, it is read anew after a restart`,
        error,
      );
    }
  }

  async #flushAcks(): Promise<void> {
    const ids = this.#acks;
    this.#acks = [];
    this.#acking = undefined;
    try {
      await this.#client.xack(this.#key, this.#group, ...ids);
      await this.#trim?.();
    } catch (error) {
      this.#report(`${ids.length} entries could not be acknowledged and stay pending`, error);
    }
  }

  /** A group that went away (flush, failover, eviction) is made again, from the start of what there is now. */
  async #recreated(error: unknown): Promise<boolean> {
    if (!messageOf(error).startsWith('NOGROUP') || this.#stopped) return false;
    try {
      this.#report(`group '${this.#group}' is gone, it is created again`, error);
      await createGroup(this.#client, { ...this.#options, declare: true }, '0');
      return true;
    } catch {
      return false; // `error` is reported, and the next read tries again
    }
  }

  /** Removes the consumer that was made up for this source, unless it leaves pending entries behind. Failing that it is litter, and no harm. */
  async #leave(): Promise<void> {
    const pending = await this.#client.xpending(
      this.#key,
      this.#group,
      '-',
      '+',
      1,
      this.#consumer,
    );
    if (pending.length > 0) return;
    await this.#client.xgroup('DELCONSUMER', this.#key, this.#group, this.#consumer);
  }
}

async function createGroup(
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

async function newestId(client: Redis, { name, declare }: StreamSourceOptions): Promise<string> {
  try {
    const info = (await client.xinfo('STREAM', name)) as unknown[];
    return String(info[info.indexOf('last-generated-id') + 1]);
  } catch (cause) {
    const reason = messageOf(cause);
    if (!reason.includes('no such key')) {
      throw new SetupError(`stream '${name}' cannot be read: ${reason}`, { cause });
    }
    if (!declare) throw missingStream(name, cause);
    return '0-0';
  }
}

function entriesOf(reply: unknown): Entry[] {
  const streams = reply as [key: Buffer, entries: Entry[]][] | null;
  return streams?.[0]?.[1] ?? [];
}

function idOf(entry: Entry): string {
  return entry[0].toString('latin1');
}

function delivery(key: string, entry: Entry, count: number): Delivery {
  return { frame: frameOf(entry[1] ?? []), name: key, id: idOf(entry), count };
}

/** Our frame, or the fields of an entry that somebody else wrote. */
function frameOf(fields: Buffer[]): Buffer | readonly Buffer[] {
  for (let i = 0; i + 1 < fields.length; i += 2) {
    if ((fields[i] as Buffer).toString('latin1') === DATA_FIELD) return fields[i + 1] as Buffer;
  }
  return fields;
}
