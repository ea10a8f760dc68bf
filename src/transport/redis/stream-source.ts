import type { Redis } from 'ioredis';
import { SetupError, messageOf } from '../../errors.ts';
import { Feed } from '../feed.ts';
import type { Lanes } from '../lanes.ts';
import {
  idBefore,
  missingStream,
  type Delivery,
  type IsFull,
  type Source,
  type StreamSourceOptions,
} from '../source.ts';
import { delivery, entriesRead, lastGeneratedId } from './replies.ts';
import type { Opener, Reader } from './readers.ts';

/** A stream read from an id on with XREAD: every reader gets every entry. */
export class StreamSource implements Source {
  readonly #key: string;
  readonly #reader: Reader;
  /** Milliseconds that a read may block. */
  readonly #block: number;
  /** With lanes alone: entries wait here for their lane. */
  readonly #feed: Feed | undefined;
  #lastId: string;
  #stopped = false;

  static async open(
    opener: Opener,
    options: StreamSourceOptions,
    lanes?: Lanes,
  ): Promise<StreamSource> {
    const { connections } = opener;
    const { name, lastId = '$' } = options;
    // `$` becomes a concrete id once: sent with each read, it would skip entries added between two reads.
    const newest =
      lastId === '$' || !options.declare ? await newestId(connections.client, options) : '';
    const start = lastId === '$' ? newest : lastId;
    const reader = await opener.open();
    return new StreamSource(name, reader, start, connections.timings.block, lanes);
  }

  private constructor(
    key: string,
    reader: Reader,
    start: string,
    block: number,
    lanes: Lanes | undefined,
  ) {
    this.#key = key;
    this.#reader = reader;
    this.#block = block;
    this.#lastId = start;
    if (lanes === undefined) return;
    const fetch = async (max: number): Promise<void> => {
      for (const entry of await this.#readOn(max)) this.#feed?.push(entry);
    };
    this.#feed = new Feed({ fetch, lanes });
  }

  read(max: number, isFull?: IsFull): Promise<Delivery[]> {
    return this.#feed?.next(max, isFull) ?? this.#read(max);
  }

  async #read(max: number): Promise<Delivery[]> {
    while (!this.#stopped) {
      const deliveries = await this.#readOn(max);
      if (deliveries.length > 0) return deliveries;
    }
    return [];
  }

  async #readOn(max: number): Promise<Delivery[]> {
    const args = ['COUNT', max, 'BLOCK', this.#block, 'STREAMS', this.#key, this.#lastId];
    const found = entriesRead(await this.#reader.run('xread', args));
    const deliveries = found.map((entry) => delivery(this.#key, entry, 1));
    this.#lastId = deliveries.at(-1)?.id ?? this.#lastId;
    return deliveries;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#feed?.end();
    await this.#reader.stop();
  }

  async close(): Promise<void> {
    await this.stop();
    this.#reader.close();
  }

  readonly canReturn = true;
  readonly needsAck = false;
  readonly held = 0;

  /** The next read begins with the first of them. With lanes they wait here: some after them may have begun. */
  async giveBack(deliveries: readonly Delivery[]): Promise<void> {
    if (this.#feed !== undefined) return this.#feed.keep(deliveries);
    const [first] = deliveries;
    if (first !== undefined) this.#lastId = idBefore(first.id as string);
  }

  // Without a group nothing is pending.
  ack(): undefined {}
  nack(): void {}
  abandon(): void {}
}

async function newestId(client: Redis, { name, declare }: StreamSourceOptions): Promise<string> {
  try {
    return lastGeneratedId(await client.xinfo('STREAM', name));
  } catch (cause) {
    const reason = messageOf(cause);
    if (!reason.includes('no such key')) {
      throw new SetupError(`stream '${name}' cannot be read: ${reason}`, { cause });
    }
    if (!declare) throw missingStream(name, cause);
    return '0-0';
  }
}
