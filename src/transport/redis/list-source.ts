import { messageOf } from '../../errors.ts';
import { settledWithin } from '../../internal/deferred.ts';
import { Feed } from '../feed.ts';
import type { Lanes } from '../lanes.ts';
import type { RateGate } from '../rate.ts';
import type { Delivery, IsFull, ListSourceOptions, Source } from '../source.ts';
import { itemPopped, items, itemsPopped } from './replies.ts';
import type { Connections } from './connections.ts';
import type { Opener, Reader } from './readers.ts';
import { rateGate, untilItem } from './permits.ts';
import { Script, isOutOfMemory } from './script.ts';

/** LPUSH that may exceed `maxmemory`: the items were in the server's memory a moment ago. */
const PUT_BACK = new Script(`for i = 1, #ARGV do redis.call('LPUSH', KEYS[1], ARGV[i]) end`);

/** Items of a list, first in first out: BLMPOP, or BLPOP and LPOP before Redis 7. */
export class ListSource implements Source {
  readonly canReturn = true;
  readonly needsAck = false;
  readonly #key: string;
  /** Seconds that a read may block. */
  readonly #block: number;
  readonly #connections: Connections;
  readonly #reader: Reader;
  readonly #gate: RateGate | undefined;
  /** With lanes or a rate alone. */
  readonly #feed: Feed | undefined;
  #hasBlmpop = true;
  #stopped = false;

  static async open(
    opener: Opener,
    { name, rate }: ListSourceOptions,
    lanes?: Lanes,
  ): Promise<ListSource> {
    const { connections } = opener;
    const gate = rateGate(connections.client, { name, rate });
    return new ListSource(connections, name, await opener.open(), lanes, gate);
  }

  private constructor(
    connections: Connections,
    key: string,
    reader: Reader,
    lanes: Lanes | undefined,
    gate: RateGate | undefined,
  ) {
    this.#connections = connections;
    this.#key = key;
    this.#block = connections.timings.block / 1_000;
    this.#reader = reader;
    this.#gate = gate;
    if (lanes === undefined && gate === undefined) return;
    const push = (frames: readonly Buffer[]): number => {
      for (const frame of frames) this.#feed?.push(this.#delivery(frame));
      return frames.length;
    };
    const fetch = async (max: number): Promise<void> => {
      if (gate === undefined) push(await this.#pop(max));
      else await gate.fetch(max, async (some) => push(await this.#lpop(some)), this.#untilSome);
    };
    this.#feed = new Feed({ fetch, lanes });
  }

  read(max: number, isFull?: IsFull): Promise<Delivery[]> {
    return this.#feed?.next(max, isFull) ?? this.#read(max);
  }

  async #read(max: number): Promise<Delivery[]> {
    while (!this.#stopped) {
      const frames = await this.#pop(max);
      if (frames.length > 0) return frames.map((frame) => this.#delivery(frame));
    }
    return [];
  }

  #pop(max: number): Promise<Buffer[]> {
    return this.#hasBlmpop ? this.#blmpop(max) : this.#blpop(max);
  }

  async #lpop(max: number): Promise<Buffer[]> {
    return items(await this.#reader.run('lpop', [this.#key, max]));
  }

  /** With a rate: waits until there is something, for whoever takes it. */
  readonly #untilSome = (): Promise<boolean> => {
    const { timings } = this.#connections;
    return untilItem(this.#key, timings.block, timings, (name, args) =>
      this.#reader.run(name, args),
    );
  };

  #delivery(frame: Buffer): Delivery {
    return { frame, name: this.#key, id: undefined, count: 1 };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#gate?.stop();
    this.#feed?.end();
    await this.#reader.stop();
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    await this.#feed?.fetching?.catch(() => undefined); // what a read that ended now has brought
    this.#reader.close();
    const all = this.#feed?.takeBack(unstarted) ?? unstarted;
    if (all.length === 0) return;
    const returned = this.#giveBack(all);
    if (await settledWithin(returned, this.#connections.timings.putBack)) await returned;
    else throw new Error(`${all.length} items could not be put back on list '${this.#key}'`);
  }

  giveBack(deliveries: readonly Delivery[]): Promise<void> {
    if (this.#feed === undefined) return this.#giveBack(deliveries);
    const interrupt = (): Promise<void> => this.#reader.interrupt();
    return this.#feed.giveBack(deliveries, interrupt, (all) => this.#giveBack(all));
  }

  async #giveBack(deliveries: readonly Delivery[]): Promise<void> {
    const frames = deliveries.map((delivery) => delivery.frame as Buffer);
    if (frames.length > 0) await this.#putBack(frames.reverse());
    await this.#gate?.giveBack(frames.length);
  }

  /** LPUSH; where the server is out of memory, a script that may exceed the limit (Redis 7). */
  async #putBack(frames: Buffer[]): Promise<void> {
    const { client } = this.#connections;
    try {
      await client.lpush(this.#key, ...frames);
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      await PUT_BACK.run(client, [this.#key], frames);
    }
  }

  // A popped item is gone from Redis: there is nothing to acknowledge.
  readonly held = 0;
  ack(): undefined {}
  nack(): void {}
  abandon(): void {}

  async #blmpop(max: number): Promise<Buffer[]> {
    try {
      const args = [this.#block, 1, this.#key, 'LEFT', 'COUNT', max];
      return itemsPopped(await this.#reader.run('blmpop', args));
    } catch (error) {
      if (!messageOf(error).includes('unknown command')) throw error;
      this.#hasBlmpop = false;
      return [];
    }
  }

  async #blpop(max: number): Promise<Buffer[]> {
    const first = itemPopped(await this.#reader.run('blpop', [this.#key, this.#block]));
    if (first === undefined) return [];
    if (max === 1 || this.#stopped) return [first];
    // The first item is delivered even if the second command fails.
    const more = await this.#reader.run('lpop', [this.#key, max - 1]).catch(() => null);
    return [first, ...items(more)];
  }
}
