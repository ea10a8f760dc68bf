import { SetupError, messageOf } from '../../errors.ts';
import { monotonicTime } from '../../internal/clock.ts';
import { deferred, settledWithin, type Deferred } from '../../internal/deferred.ts';
import { Feed } from '../feed.ts';
import { Held } from '../held.ts';
import type { Delivery, Report, Source } from '../source.ts';
import type { Timings } from '../timings.ts';
import { itemMoved, items } from './replies.ts';
import type { Connections } from './connections.ts';
import { ListConsumers } from './list-consumers.ts';
import { BlockingReader } from './blocking-reader.ts';

/** Moves up to ARGV[1] items, and returns them. */
const TAKE = `local items = {}
for i = 1, tonumber(ARGV[1]) do
  local item = redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')
  if not item then break end
  items[i] = item
end
return items`;

/** Items of a list. Each is in this consumer's processing list on the server from BLMOVE until it is acknowledged (LREM). */
export class ReliableListSource implements Source {
  readonly canReturn = true;
  readonly needsAck = true;
  readonly #connections: Connections;
  readonly #timings: Timings;
  readonly #list: string;
  readonly #reader: BlockingReader;
  readonly #consumers: ListConsumers;
  readonly #report: Report;

  /** The items of the processing list that this process knows. */
  readonly #held = new Held((again) => this.#feed.pushPast(again));
  readonly #feed = new Feed({
    fetch: (max) => this.#fetch(max),
    onTaken: (deliveries) => this.#held.start(deliveries),
  });
  /** Whether the processing list may hold items that this process does not know. */
  #hasStrays = false;
  /** When a connection was lost while a move was under way. */
  #lostAt = -Infinity;
  /** Whether the last read got as many items as it asked for, so that there are probably more. */
  #expectsMore = false;
  #acks: Delivery[] = [];
  /** `#acking`: acknowledgements wait for the end of the tick. `#flushing`: they are being sent. */
  #acking: Promise<void> | undefined;
  #flushing: Promise<void> | undefined;
  #ackRetry: NodeJS.Timeout | undefined;
  /** Pending while the processing list is read; acknowledgements wait for it. */
  #recovering: Deferred<void> | undefined;
  #stopped = false;
  readonly #stopping = deferred<void>();
  #closed = false;

  static async open(
    connections: Connections,
    list: string,
    report: Report,
  ): Promise<ReliableListSource> {
    const consumers = new ListConsumers(connections.client, list, report, connections.timings);
    try {
      // Moves nothing, since the processing list is new; finds out whether the server knows LMOVE.
      await connections.client.lmove(consumers.processing, list, 'RIGHT', 'LEFT');
    } catch (cause) {
      if (!messageOf(cause).includes('unknown command')) throw cause;
      throw new SetupError(`list '${list}': 'reliable' needs Redis 6.2 or later (LMOVE)`, {
        cause,
      });
    }
    const reader = await BlockingReader.open(connections, list);
    try {
      await consumers.join();
    } catch (error) {
      reader.close();
      throw error;
    }
    return new ReliableListSource(connections, list, reader, consumers, report);
  }

  private constructor(
    connections: Connections,
    list: string,
    reader: BlockingReader,
    consumers: ListConsumers,
    report: Report,
  ) {
    this.#connections = connections;
    this.#timings = connections.timings;
    this.#list = list;
    this.#reader = reader;
    this.#consumers = consumers;
    this.#report = report;
    reader.onReconnect = () => {
      // What Redis sent on the lost connection is in the processing list, or will be when the server runs the move.
      this.#hasStrays = true;
      this.#lostAt = monotonicTime();
    };
  }

  read(max: number): Promise<Delivery[]> {
    return this.#feed.next(max);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopping.resolve();
    this.#held.stop();
    this.#feed.end();
    await this.#reader.stop();
  }

  /** Gives back all items but those that are being handled: these stay until they are acknowledged, or until this consumer counts as dead. */
  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    await settledWithin(
      Promise.all([this.#acking, this.#flushing, this.#feed.fetching]),
      this.#timings.leave,
    );
    this.#consumers.close();
    this.#reader.close();
    this.#closed = true;
    for (const delivery of unstarted) this.#held.abandon(delivery);
    await this.#leave();
  }

  ack(settled: Delivery): Promise<void> | undefined {
    if (!this.#held.acknowledge(settled)) return undefined;
    this.#acks.push(settled);
    return this.#ackSoon();
  }

  nack(settled: Delivery, delay: number): void {
    this.#held.nack(settled, delay);
  }

  abandon(left: Delivery): void {
    this.#held.abandon(left);
  }

  #deliver(frame: Buffer): void {
    const delivery = { frame, name: this.#list, id: undefined, count: 1 };
    this.#held.add(delivery);
    this.#feed.push(delivery);
  }

  async #fetch(max: number): Promise<void> {
    const preparing = this.#prepare();
    if (preparing !== undefined) await Promise.race([preparing, this.#stopping.promise]);
    if (!this.#stopped && this.#feed.length === 0) await this.#move(max);
  }

  #prepare(): Promise<void> | undefined {
    // For a while Redis may still serve the move that was waiting on the lost connection.
    const isAftermathOver = monotonicTime() - this.#lostAt > 2 * this.#timings.block;
    if (this.#hasStrays || (isAftermathOver && this.#lostAt > -Infinity)) {
      if (isAftermathOver) this.#lostAt = -Infinity;
      return this.#recover();
    }
    return this.#consumers.renew();
  }

  /** Takes many at once where items are expected; else blocks for one, since an idle reader should send few commands. */
  async #move(max: number): Promise<void> {
    const { processing } = this.#consumers;
    if (this.#expectsMore && (await this.#take(max)) > 0) return;
    const args = [this.#list, processing, 'LEFT', 'RIGHT', this.#timings.block / 1_000];
    const first = itemMoved(await this.#run('blmove', args));
    if (first === undefined) return;
    this.#deliver(first);
    if (max === 1 || this.#stopped) return;
    // The first item is delivered even if the second command fails.
    await this.#take(max - 1).catch(() => (this.#hasStrays = true));
  }

  async #take(max: number): Promise<number> {
    const { processing } = this.#consumers;
    const taken = items(await this.#run('eval', [TAKE, 2, this.#list, processing, max]));
    for (const frame of taken) this.#deliver(frame);
    this.#expectsMore = taken.length === max;
    return taken.length;
  }

  async #run(name: string, args: (string | number)[]): Promise<unknown> {
    try {
      return await this.#reader.run(name, args);
    } catch (error) {
      // An error reply means that nothing was moved; after any other error, something may have been.
      if ((error as Error).name === 'ReplyError') throw error;
      this.#hasStrays = true;
      this.#lostAt = monotonicTime();
      throw error;
    }
  }

  /** Delivers the items of the processing list that this process does not know. No move is under way meanwhile. */
  async #recover(): Promise<void> {
    this.#hasStrays = false;
    const { client } = this.#connections;
    try {
      await this.#consumers.beat();
      await Promise.all([this.#acking, this.#flushing]);
      this.#recovering = deferred();
      const found = await client.lrangeBuffer(this.#consumers.processing, 0, -1);
      // Frames may be equal, so they are counted.
      const known = new Map<string, number>();
      for (const { frame } of this.#held.all()) {
        const key = (frame as Buffer).toString('latin1');
        known.set(key, (known.get(key) ?? 0) + 1);
      }
      for (const frame of found) {
        const key = frame.toString('latin1');
        const count = known.get(key) ?? 0;
        if (count > 0) known.set(key, count - 1);
        else this.#deliver(frame);
      }
    } catch (error) {
      this.#hasStrays = true;
      throw error;
    } finally {
      this.#recovering?.resolve();
      this.#recovering = undefined;
    }
  }

  /** Acknowledges everything that settles in one tick in one write. */
  #ackSoon(): Promise<void> {
    return (this.#acking ??= new Promise((resolve) => {
      process.nextTick(() => {
        this.#flushing = this.#flushAcks();
        void this.#flushing.then(resolve);
      });
    }));
  }

  async #flushAcks(): Promise<void> {
    if (this.#recovering !== undefined) await this.#recovering.promise;
    this.#acking = undefined;
    const acked = this.#acks;
    this.#acks = [];
    try {
      const { client } = this.#connections;
      const { processing } = this.#consumers;
      if (acked.length === 1) {
        await client.lrem(processing, 1, acked[0]?.frame as Buffer);
      } else {
        const pipeline = client.pipeline();
        for (const { frame } of acked) pipeline.lrem(processing, 1, frame as Buffer);
        const failed = (await pipeline.exec())?.find(([error]) => error !== null);
        if (failed !== undefined) throw failed[0] as Error;
      }
    } catch (error) {
      this.#ackLater(acked, error);
      return;
    }
    for (const delivery of acked) this.#held.delete(delivery);
    if (this.#closed && this.#held.size === 0) await this.#leave();
  }

  #ackLater(acked: readonly Delivery[], error: unknown): void {
    this.#acks.push(...acked);
    if (this.#closed || this.#ackRetry !== undefined) return;
    this.#report(`${acked.length} items could not be acknowledged, it is tried again`, error);
    this.#ackRetry = setTimeout(() => {
      this.#ackRetry = undefined;
      if (!this.#closed) void this.#ackSoon();
    }, this.#timings.ackRetry).unref();
  }

  /** Gives back the idle items. Where the server is gone, other consumers do it once this one counts as dead. */
  async #leave(): Promise<void> {
    if (this.#connections.client.status !== 'ready') return;
    this.#feed.drain();
    this.#held.takeIdle();
    const keep = Array.from(this.#held.all(), ({ frame }) => frame as Buffer);
    // A move that may still be served puts its item into our processing list: we must stay registered for others to find it.
    const isClean =
      this.#feed.fetching === undefined && monotonicTime() - this.#lostAt > this.#timings.expiry;
    const left = this.#consumers.leave(keep, isClean);
    left.catch((error: unknown) => this.#report('items could not be given back', error));
    await settledWithin(left, this.#timings.leave);
  }
}
