import { hostName } from '../../internal/host.ts';
import { SetupError, messageOf } from '../../errors.ts';
import { monotonicTime } from '../../internal/clock.ts';
import { deferred, pause, settledWithin } from '../../internal/deferred.ts';
import { randomId } from '../../internal/ids.ts';
import { Acks } from '../acks.ts';
import { Feed } from '../feed.ts';
import { Held, refused } from '../held.ts';
import { Pauses } from '../pauses.ts';
import { MAX_WAITING, NOT_ACKNOWLEDGED, SOON, reporting } from '../source.ts';
import type { Delivery, IsFull, Report, Source } from '../source.ts';
import type { Timings } from '../timings.ts';
import { BlockingReader } from './blocking-reader.ts';
import type { Connections } from './connections.ts';
import { insist } from './insist.ts';
import { ListConsumers } from './list-consumers.ts';
import { ListKeys } from './list-keys.ts';
import { COUNT, GIVE_BACK, PARK, TAKE } from './list-scripts.ts';
import { fieldsAndBuffers, itemMoved, itemsTaken } from './replies.ts';
import { isOutOfMemory } from './script.ts';

/** Fields in one HDEL, tokens in one script. */
const CHUNK = 1_000;

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
  readonly #reader: BlockingReader;
  readonly #consumers: ListConsumers;
  readonly #report: Report;

  /** The items of our hash that this process knows. */
  readonly #held: Held;
  readonly #pauses = new Pauses<Delivery>();
  readonly #feed = new Feed({
    fetch: (max) => this.#fetch(max),
    onTaken: (deliveries) => this.#held.start(deliveries),
  });
  readonly #acks = new Acks<Delivery>((batch) => this.#acknowledge(batch));
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
  #closed = false;

  static async open(
    connections: Connections,
    list: string,
    report: Report,
  ): Promise<ReliableListSource> {
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
    const held = new Held();
    const isIdle = (): boolean => held.size === 0;
    const consumers = new ListConsumers(client, keys, consumer, report, timings, isIdle);
    const reader = await BlockingReader.open(connections, list);
    try {
      await consumers.join();
    } catch (error) {
      reader.close();
      throw error;
    }
    return new ReliableListSource(connections, keys, reader, consumers, held, report);
  }

  private constructor(
    connections: Connections,
    keys: ListKeys,
    reader: BlockingReader,
    consumers: ListConsumers,
    held: Held,
    report: Report,
  ) {
    this.#connections = connections;
    this.#timings = connections.timings;
    this.#keys = keys;
    this.#heldKey = keys.heldBy(consumers.consumer);
    this.#reader = reader;
    this.#consumers = consumers;
    this.#held = held;
    this.#report = report;
    reader.onReconnect = () => {
      // What Redis sent on the lost connection is ours on the server, or will be when it runs the move.
      this.#hasStrays = true;
      this.#lostAt = monotonicTime();
    };
  }

  get held(): number {
    return this.#held.size;
  }

  read(max: number, isFull?: IsFull): Promise<Delivery[]> {
    return this.#feed.next(max, isFull);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopping.resolve();
    this.#pauses.stop();
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
    await settledWithin(Promise.all([this.#acks.settled(), this.#feed.fetching]), leave);
    this.#consumers.close();
    this.#reader.close();
    this.#closed = true;
    for (const delivery of unstarted) this.#held.abandon(delivery);
    this.#feed.drain();
    // Where the server is gone, other consumers give it back once this one counts as dead.
    if (this.#connections.client.status !== 'ready') return;
    const waiting = this.#pauses.drain();
    const [soon, later] = [
      waiting.filter(([, pause]) => pause <= SOON),
      waiting.filter(([, pause]) => pause > SOON),
    ];
    const left = Promise.all([
      ...later.map(([delivery, pause]) => this.#park(delivery, pause)),
      this.#putBack(
        this.#held.idle(),
        soon.map(([delivery]) => delivery),
      ),
    ]).then(() => this.#leave());
    left.catch((error: unknown) => this.#report('items could not be given back', error));
    await settledWithin(left, leave);
  }

  async giveBack(deliveries: readonly Delivery[]): Promise<void> {
    // A read that nobody waits for any more would take them back.
    if (!this.#feed.isAwaited) {
      await this.#reader.interrupt();
      await this.#feed.fetching?.catch(() => undefined);
    }
    const unread = this.#feed.isAwaited ? [] : this.#feed.drain();
    await this.#putBack([...deliveries, ...unread], []);
  }

  ack(settled: Delivery): Promise<void> | undefined {
    if (!this.#held.leave(settled)) return undefined;
    this.#pauses.delete(settled);
    return this.#acks.add(settled);
  }

  nack(settled: Delivery, delay: number, isCounted = true): void {
    const waiting = refused(settled, isCounted);
    if (!this.#held.pause(settled, waiting)) return;
    if (delay > this.#timings.expiry || this.#pauses.size >= MAX_WAITING || this.#closed)
      void this.#park(waiting, delay);
    else this.#pauses.add(waiting, delay, () => void this.#deliverAgain(waiting));
  }

  abandon(left: Delivery): void {
    this.#pauses.delete(left);
    this.#held.abandon(left);
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
    const run = (name: string, args: (string | number | Buffer)[]): Promise<unknown> =>
      this.#run(name, args);
    const { due, taken } = itemsTaken(await TAKE.run(client, keys, [++this.#takes, max], run));
    if (due !== undefined)
      this.#parkedDue = monotonicTime() + Math.min(due, this.#timings.parkedLook);
    for (const [token, frame] of taken) this.#deliver(token, frame);
    if (taken.length > 0) this.#consumers.touched();
    this.#expectsMore = taken.length >= max;
    return taken.length;
  }

  /** Puts items back to the head of the list, in order: those that were not handled, and those that were, and are to come again. */
  async #putBack(unhandled: readonly Delivery[], handled: readonly Delivery[]): Promise<void> {
    const leaving = [...unhandled, ...handled].filter((delivery) => this.#held.leave(delivery));
    const counted = new Set(handled);
    const rows = leaving
      .map((one): [token: string, count: number] => [
        this.#held.tokenOf(one) as string,
        counted.has(one) ? one.count : one.count - 1,
      ])
      .sort(([a], [b]) => placeIn(a) - placeIn(b));
    const { list, counts } = this.#keys;
    const moved = this.#keys.movedFor(this.#consumers.consumer);
    const keys = [list, this.#heldKey, counts, moved];
    try {
      // From the end, since each chunk goes to the head of the list.
      let end = rows.length;
      do {
        const some = rows.slice(Math.max(0, end - CHUNK), end).flat();
        await GIVE_BACK.run(this.#connections.client, keys, [this.#timings.keyLife, ...some]);
        end -= CHUNK;
      } while (end > 0);
    } catch (error) {
      for (const delivery of leaving) this.#held.stay(delivery);
      throw error;
    }
    for (const delivery of leaving) this.#held.delete(delivery);
  }

  #deliver(token: string, frame: Buffer): void {
    const delivery = { frame, name: this.#keys.list, id: undefined, count: countIn(token) };
    this.#held.add(delivery, token);
    this.#feed.push(delivery);
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
      const known = this.#held.tokens();
      const strays = fieldsAndBuffers(reply).filter(([token]) => !known.has(token));
      strays.sort(([a], [b]) => placeIn(a) - placeIn(b));
      for (const [token, frame] of strays) this.#deliver(token, frame);
    } catch (error) {
      this.#hasStrays = true;
      throw error;
    }
  }

  /** The pause of a refused item is over: counts the delivery on the server, and delivers it. */
  async #deliverAgain(before: Delivery): Promise<void> {
    const token = this.#held.tokenOf(before) as string;
    const count = before.count + 1;
    const next = token.replace(/:\d+$/, `:${count}`);
    const again = { ...before, count };
    this.#held.replace(before, again, next);
    const counted = await insist(
      this.#connections,
      () => COUNT.run(this.#connections.client, [this.#heldKey], [token, next]),
      reporting(this.#report, 'an item waits longer for its next delivery', { delivery: before }),
      () => this.#closed,
    );
    // Stopped meanwhile: it comes again after a restart.
    if (counted === undefined) return;
    if (Number(counted.value) === 0) this.#held.delete(again);
    else this.#feed.pushPast(again);
  }

  /** Keeps an item on the server until its next delivery. */
  async #park(delivery: Delivery, delay: number): Promise<void> {
    const { parked, parkedItems } = this.#keys;
    const token = this.#held.tokenOf(delivery) as string;
    if (!this.#held.leave(delivery)) return;
    const keys = [this.#heldKey, parked, parkedItems];
    const place = token.slice(0, token.indexOf(':'));
    const id = `${this.#consumers.consumer}:${place}:${delivery.count}`;
    const args = [token, id, Math.ceil(delay)];
    const done = await insist(
      this.#connections,
      () => PARK.run(this.#connections.client, keys, args),
      reporting(this.#report, 'an item cannot be kept yet, it is tried again', { delivery }),
    );
    if (done === undefined) return;
    this.#held.delete(delivery);
    this.#parkedDue = Math.min(this.#parkedDue, monotonicTime() + delay);
    if (this.#closed) await this.#leave();
  }

  async #acknowledge(acked: readonly Delivery[]): Promise<void> {
    const tokens = acked.map((delivery) => this.#held.tokenOf(delivery) as string);
    const done = await insist(
      this.#connections,
      async () => {
        for (let start = 0; start < tokens.length; start += CHUNK) {
          const some = tokens.slice(start, start + CHUNK);
          await this.#connections.client.hdel(this.#heldKey, ...some);
        }
      },
      reporting(this.#report, NOT_ACKNOWLEDGED, { unacknowledged: acked.length }),
    );
    // The connection is over, and whoever waits must not take it for done.
    if (done === undefined) return new Promise(() => undefined);
    for (const delivery of acked) this.#held.delete(delivery);
    if (this.#closed) await this.#leave().catch(() => undefined);
  }

  /** Removes this consumer where nothing is left of it. */
  async #leave(): Promise<void> {
    if (this.#held.size > 0 || this.#connections.client.status !== 'ready') return;
    // A move that may still be served puts its item where we are registered: others must find it.
    const isClean =
      this.#feed.fetching === undefined && monotonicTime() - this.#lostAt > this.#timings.expiry;
    if (isClean) await this.#consumers.leave();
  }
}

function countIn(token: string): number {
  return Number(token.slice(token.indexOf(':') + 1));
}

/** Tokens in the order in which their items lay in the list. */
function placeIn(token: string): number {
  const [take, place] = token.split(/[-:]/).map(Number) as [number, number];
  return take * 1_000_000 + place;
}
