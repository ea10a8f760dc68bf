import { hostName } from '../../internal/host.ts';
import { SetupError, messageOf } from '../../errors.ts';
import { monotonicTime } from '../../internal/clock.ts';
import { deferred, pause, settledWithin } from '../../internal/deferred.ts';
import { randomId } from '../../internal/ids.ts';
import { Feed } from '../feed.ts';
import type { Handled } from '../marks.ts';
import type { RateGate } from '../rate.ts';
import type { Delivery, IsFull, ListSourceOptions, Report, Source } from '../source.ts';
import type { Lanes } from '../lanes.ts';
import type { Timings } from '../timings.ts';
import type { Connections } from './connections.ts';
import { ListConsumers } from './list-consumers.ts';
import { ListKeys } from './list-keys.ts';
import { ListItems, placeIn } from './list-items.ts';
import { TAKE } from './list-scripts.ts';
import { rateGate, untilItem } from './permits.ts';
import type { Opener, Reader } from './readers.ts';
import { fieldsAndBuffers, itemMoved, itemsTaken } from './replies.ts';
import { isOutOfMemory } from './script.ts';

/**
 * Items of a list. An idle reader waits in BLMOVE. Each item then lies in a hash of this consumer's,
 * under a token with its count, until it is acknowledged (HDEL), parked or given back.
 */
export class ReliableListSource implements Source {
  readonly canReturn = true;
  readonly needsAck = true;
  readonly #connections: Connections;
  readonly #timings: Timings;
  readonly #keys: ListKeys;
  readonly #heldKey: string;
  readonly #reader: Reader;
  readonly #consumers: ListConsumers;
  readonly #report: Report;

  /** The items of our hash that this process knows. */
  readonly #items: ListItems;
  readonly #lanes: Lanes | undefined;
  readonly #gate: RateGate | undefined;
  readonly #feed: Feed;
  /** Whether our hash may hold items that this process does not know. */
  #hasStrays = false;
  /** When a connection was lost while a move was under way. */
  #lostAt = -Infinity;
  /** Whether the last read got as many items as it asked for, so that there are probably more. */
  #expectsMore = false;
  /** Counts takes: tokens are never given twice. */
  #takes = 0;
  /** When to look for what is parked. */
  #parkedDue = 0;
  #stopped = false;
  readonly #stopping = deferred<void>();
  /** With lanes: resolves when no dead consumer holds items that belong before those of the list. */
  #othersJudged: Promise<void> | undefined;

  static async open(
    opener: Opener,
    options: ListSourceOptions,
    report: Report,
    lanes?: Lanes,
  ): Promise<ReliableListSource> {
    const { connections } = opener;
    const { name: list } = options;
    const keys = new ListKeys(list);
    const { client, timings } = connections;
    const consumer = `${hostName().replaceAll(':', '-')}-${process.pid}-${randomId(8)}`;
    const moved = keys.movedFor(consumer);
    try {
      // Moves nothing, since the key is new; finds out whether the server knows LMOVE.
      await client.lmove(moved, list, 'RIGHT', 'LEFT');
    } catch (cause) {
      if (!isOutOfMemory(cause)) {
        if (!messageOf(cause).includes('unknown command')) throw cause;
        throw new SetupError(`list '${list}': 'reliable' needs Redis 6.2 or later (LMOVE)`, {
          cause,
        });
      }
    }
    const gate = rateGate(client, { name: list, rate: options.rate });
    let source: ReliableListSource | undefined;
    const isIdle = (): boolean => source === undefined || source.held === 0;
    const consumers = new ListConsumers(client, keys, consumer, report, timings, isIdle);
    const reader = await opener.open();
    try {
      await consumers.join();
    } catch (error) {
      reader.close();
      throw error;
    }
    source = new ReliableListSource(connections, keys, reader, consumers, report, lanes, gate);
    return source;
  }

  private constructor(
    connections: Connections,
    keys: ListKeys,
    reader: Reader,
    consumers: ListConsumers,
    report: Report,
    lanes: Lanes | undefined,
    gate: RateGate | undefined,
  ) {
    this.#connections = connections;
    this.#timings = connections.timings;
    this.#keys = keys;
    this.#heldKey = keys.heldBy(consumers.consumer);
    this.#reader = reader;
    this.#consumers = consumers;
    this.#report = report;
    this.#lanes = lanes;
    this.#gate = gate;
    this.#items = new ListItems({
      connections,
      keys,
      consumer: consumers.consumer,
      report,
      isOrdered: lanes !== undefined,
      gate,
      onAgain: (again) => this.#feed.pushPast(again),
      onParked: (delay) => (this.#parkedDue = Math.min(this.#parkedDue, monotonicTime() + delay)),
      onGone: (gone) => lanes?.settled(gone),
      onLeft: () => this.#leave(),
    });
    this.#feed = new Feed({
      fetch: (max) => this.#fetch(max),
      onTaken: (deliveries) => this.#items.start(deliveries),
      lanes,
    });
    if (lanes !== undefined) this.#othersJudged = this.#judgeOthers();
    reader.onReconnect = () => {
      // What Redis sent on the lost connection is ours on the server, or will be when it runs the move.
      this.#hasStrays = true;
      this.#lostAt = monotonicTime();
    };
  }

  get held(): number {
    return this.#items.size;
  }

  read(max: number, isFull?: IsFull): Promise<Delivery[]> {
    return this.#feed.next(max, isFull);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopping.resolve();
    this.#gate?.stop();
    this.#items.stop();
    this.#feed.end();
    await this.#reader.stop();
  }

  /**
   * Gives back what no handler has, and parks what waits for its next delivery. What is being handled
   * stays until it is acknowledged, or until this consumer counts as dead.
   */
  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    const { leave } = this.#timings;
    await settledWithin(Promise.all([this.#items.settled(), this.#feed.fetching]), leave);
    this.#consumers.close();
    this.#reader.close();
    this.#items.close(this.#feed.takeBack(unstarted));
    // Where the server is gone, other consumers give it back once this one counts as dead.
    if (this.#connections.client.status !== 'ready') return;
    const left = this.#items.leave().then(() => this.#leave());
    left.catch((error: unknown) => this.#report('items could not be given back', error));
    await settledWithin(left, leave);
  }

  get hasUnread(): boolean {
    return this.#feed.hasUnread;
  }

  async giveBack(deliveries: readonly Delivery[]): Promise<void> {
    if (this.#lanes !== undefined) {
      const interrupt = (): Promise<void> => this.#reader.interrupt();
      return this.#feed.giveBack(deliveries, interrupt, (all) => this.#putBack(all));
    }
    // A read that nobody waits for any more would take them back.
    if (!this.#feed.isAwaited) {
      await this.#reader.interrupt();
      await this.#feed.fetching?.catch(() => undefined);
    }
    const unread = this.#feed.isAwaited ? [] : this.#feed.drain();
    await this.#feed.orKept(unread, this.#putBack([...deliveries, ...unread]));
  }

  async #putBack(unstarted: readonly Delivery[]): Promise<void> {
    await this.#items.putBack(unstarted, []);
    await this.#gate?.giveBack(unstarted.length);
  }

  begins(delivery: Delivery): Promise<boolean> {
    return this.#items.begins(delivery);
  }

  holderOf(delivery: Delivery): string | undefined {
    return this.#items.holderOf(delivery);
  }

  ack(settled: Delivery, handled?: Handled): Promise<void> | undefined {
    this.#lanes?.settled(settled);
    return this.#items.ack(settled, handled);
  }

  nack(settled: Delivery, delay: number, isCounted = true): void {
    this.#items.nack(settled, delay, isCounted);
  }

  abandon(left: Delivery): void {
    this.#lanes?.settled(left);
    this.#items.abandon(left);
  }

  async #fetch(max: number): Promise<void> {
    if (this.#othersJudged !== undefined)
      await Promise.race([this.#othersJudged, this.#stopping.promise]);
    const preparing = this.#prepare();
    if (preparing !== undefined) await Promise.race([preparing, this.#stopping.promise]);
    if (this.#stopped || this.#feed.length > 0) return;
    if (this.#gate === undefined) await this.#move(max);
    else await this.#gate.fetch(max, (some) => this.#take(some), this.#untilSome);
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

  /** With a rate: waits until there is something, for whoever takes it: BLMOVE from the head of the list to its head. */
  readonly #untilSome = async (): Promise<boolean> => {
    const wait = Math.min(this.#timings.block, this.#parkedDue - monotonicTime());
    if (wait <= 0) {
      this.#parkedDue = monotonicTime() + this.#timings.parkedLook;
      return true;
    }
    return untilItem(this.#keys.list, wait, this.#timings, (name, args) => this.#run(name, args));
  };

  /** Takes many at once where items are expected; else blocks for one, since an idle reader should send few commands. */
  async #move(max: number): Promise<void> {
    if (this.#expectsMore && (await this.#take(max)) > 0) return;
    if (await this.#lookForParked(max)) return;
    const { block } = this.#timings;
    const wait = Math.max(1, Math.min(block, this.#parkedDue - monotonicTime()));
    const moved = this.#keys.movedFor(this.#consumers.consumer);
    try {
      const args = [this.#keys.list, moved, 'LEFT', 'RIGHT', wait / 1_000];
      if (itemMoved(await this.#run('blmove', args)) === undefined) return;
      if (this.#stopped) return; // `close` gives it back
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      // A full server refuses BLMOVE, which could need memory; it must be emptied all the same.
      if ((await this.#take(max)) === 0)
        await Promise.race([pause(this.#timings.fullPoll), this.#stopping.promise]);
      return;
    }
    try {
      await this.#take(max);
    } catch (error) {
      this.#hasStrays = true;
      throw error;
    }
  }

  /** Takes what was parked, perhaps by a consumer that is gone, when it is due. */
  async #lookForParked(max: number): Promise<boolean> {
    if (monotonicTime() < this.#parkedDue) return false;
    const first = await this.#connections.client.zrange(this.#keys.parked, '0', '0');
    this.#parkedDue = monotonicTime() + this.#timings.parkedLook;
    return first.length > 0 && (await this.#take(max)) > 0;
  }

  async #take(max: number): Promise<number> {
    const { client } = this.#connections;
    const { list, consumers, counts, parked, parkedItems } = this.#keys;
    const moved = this.#keys.movedFor(this.#consumers.consumer);
    const keys = [list, moved, this.#heldKey, consumers, counts, parked, parkedItems];
    const args = [++this.#takes, max];
    const run = (name: string, all: (string | number | Buffer)[]): Promise<unknown> =>
      this.#run(name, all);
    const { due, taken } = itemsTaken(await TAKE.run(client, keys, args, run));
    if (due !== undefined)
      this.#parkedDue = monotonicTime() + Math.min(due, this.#timings.parkedLook);
    await this.#deliver(taken);
    if (taken.length > 0) this.#consumers.touched();
    this.#expectsMore = taken.length >= max;
    return taken.length;
  }

  async #deliver(items: readonly (readonly [token: string, frame: Buffer])[]): Promise<void> {
    const left = this.#lanes && (await this.#items.pausesLeft(items));
    for (const [i, [token, frame]] of items.entries())
      this.#feed.push(this.#items.add(token, frame, left?.[i]));
  }

  /** Items that a dead consumer held belong before those of the list: waits until they are back there. */
  async #judgeOthers(): Promise<void> {
    try {
      await this.#consumers.othersJudged(() => this.#stopped);
    } catch (error) {
      this.#report(
        'whether other consumers are alive is not known: items may be out of order',
        error,
      );
    }
    this.#othersJudged = undefined;
  }

  async #run(name: string, args: (string | number | Buffer)[]): Promise<unknown> {
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

  /** Delivers the items of our hash that this process does not know. No move is under way meanwhile. */
  async #recover(): Promise<void> {
    this.#hasStrays = false;
    try {
      await this.#consumers.beat();
      // Adds to the hash what has been moved and not taken.
      await this.#take(0);
      const reply = await this.#connections.client.callBuffer('HGETALL', this.#heldKey);
      const known = this.#items.tokens();
      const strays = fieldsAndBuffers(reply).filter(([token]) => !known.has(token));
      strays.sort(([a], [b]) => placeIn(a) - placeIn(b));
      await this.#deliver(strays);
      await this.#gate?.giveBack(-strays.length);
    } catch (error) {
      this.#hasStrays = true;
      throw error;
    }
  }

  /** Removes this consumer where nothing is left of it. */
  async #leave(): Promise<void> {
    if (this.#items.size > 0 || this.#connections.client.status !== 'ready') return;
    // A move that may still be served puts its item where we are registered: others must find it.
    const isClean =
      this.#feed.fetching === undefined && monotonicTime() - this.#lostAt > this.#timings.expiry;
    if (isClean) await this.#consumers.leave();
  }
}
