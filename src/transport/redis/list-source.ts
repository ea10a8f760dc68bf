import { messageOf } from '../../errors.ts';
import { settledWithin } from '../../internal/deferred.ts';
import type { Delivery, Source } from '../source.ts';
import { itemPopped, items, itemsPopped } from './replies.ts';
import type { Connections } from './connections.ts';
import { BlockingReader } from './blocking-reader.ts';
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
  readonly #reader: BlockingReader;
  #hasBlmpop = true;
  #stopped = false;

  static async open(connections: Connections, key: string): Promise<ListSource> {
    return new ListSource(connections, key, await BlockingReader.open(connections, key));
  }

  private constructor(connections: Connections, key: string, reader: BlockingReader) {
    this.#connections = connections;
    this.#key = key;
    this.#block = connections.timings.block / 1_000;
    this.#reader = reader;
  }

  async read(max: number): Promise<Delivery[]> {
    while (!this.#stopped) {
      const frames = this.#hasBlmpop ? await this.#blmpop(max) : await this.#blpop(max);
      if (frames.length > 0) {
        return frames.map((frame) => ({ frame, name: this.#key, id: undefined, count: 1 }));
      }
    }
    return [];
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#reader.stop();
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    this.#reader.close();
    if (unstarted.length === 0) return;
    const returned = this.giveBack(unstarted);
    if (await settledWithin(returned, this.#connections.timings.putBack)) await returned;
    else throw new Error(`${unstarted.length} items could not be put back on list '${this.#key}'`);
  }

  async giveBack(deliveries: readonly Delivery[]): Promise<void> {
    const frames = deliveries.map((delivery) => delivery.frame as Buffer);
    if (frames.length > 0) await this.#putBack(frames.reverse());
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
