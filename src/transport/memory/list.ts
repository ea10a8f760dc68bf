import { setTimer } from '../../internal/clock.ts';
import { Feed } from '../feed.ts';
import { deferred } from '../../internal/deferred.ts';
import { uniqueId } from '../../internal/ids.ts';
import type { RateGate } from '../rate.ts';
import { NotedPauses } from './noted-pauses.ts';
import { rateGate, type RateState } from './permits.ts';
import type { Lanes } from '../lanes.ts';
import type { Delivery, IsFull, ListSourceOptions, Source } from '../source.ts';

/** A list key: items, and readers that block on it while it is empty, in the order they came. */
export class MemoryList {
  readonly #ids = new WeakMap<Buffer, string>();
  /** How often items were delivered before, beyond 0. */
  readonly countsOf = new WeakMap<Buffer, number>();
  /** When the pauses of items end that are delivered in lanes. */
  readonly pauses = new NotedPauses();
  /** The permits of all its readers together. */
  readonly rate: RateState = { due: 0 };
  /** Items that wait for their next delivery. */
  parked = 0;
  #items: Buffer[] = [];
  readonly #blocked = new Set<() => void>();

  push(item: Buffer): number {
    this.#items.push(item);
    this.wakeOne();
    return this.#items.length;
  }

  putBack(items: readonly Buffer[]): void {
    this.#items = [...items, ...this.#items];
    this.wakeOne();
  }

  /** Puts an item back in `delay` milliseconds, delivered `count` times so far. */
  park(item: Buffer, count: number, delay: number): void {
    this.countsOf.set(item, count);
    this.parked++;
    const back = (): void => {
      this.parked--;
      this.putBack([item]);
    };
    setTimer(back, delay).unref();
  }

  /** Wakes the reader that has waited longest. A reader that leaves items behind wakes the next. */
  wakeOne(): void {
    if (this.#items.length === 0) return;
    for (const wake of this.#blocked) {
      this.#blocked.delete(wake);
      wake();
      return;
    }
  }

  take(max: number): Buffer[] {
    return this.#items.splice(0, max);
  }

  /** Removes the first that is equal. */
  remove(item: Buffer): boolean {
    const at = this.#items.findIndex((other) => other.equals(item));
    if (at >= 0) this.#items.splice(at, 1);
    return at >= 0;
  }

  /** An id that the item keeps, whoever takes it. */
  idOf(item: Buffer): string {
    const id = this.#ids.get(item) ?? uniqueId();
    this.#ids.set(item, id);
    return id;
  }

  get items(): readonly Buffer[] {
    return this.#items;
  }

  /** With a rate: waits until there is an item, without taking it; `ended` resolves where nobody waits any more. */
  async untilItem(ended: Promise<void>): Promise<boolean> {
    const some = deferred<void>();
    const wake = (): void => some.resolve();
    this.block(wake);
    this.wakeOne();
    await Promise.race([some.promise, ended]);
    this.unblock(wake);
    return this.#items.length > 0;
  }

  /** Calls `wake` once, when an item arrives that no earlier reader takes. */
  block(wake: () => void): void {
    this.#blocked.add(wake);
  }

  /** Ends the wait of `wake`. It may have been woken without having read yet, so the next is woken too. */
  unblock(wake: () => void): void {
    this.#blocked.delete(wake);
    this.wakeOne();
  }
}

export class MemoryListSource implements Source {
  readonly canReturn = true;
  readonly needsAck = false;
  readonly #list: MemoryList;
  readonly #name: string;
  readonly #feed: Feed;

  readonly #isOrdered: boolean;
  readonly #gate: RateGate | undefined;
  readonly #stopping = deferred<void>();

  constructor(list: MemoryList, { name, rate }: ListSourceOptions, lanes?: Lanes) {
    this.#list = list;
    this.#name = name;
    this.#isOrdered = lanes !== undefined;
    this.#gate = rateGate(list.rate, rate);
    this.#feed = new Feed({ fetch: (max) => this.#fetch(max), lanes });
  }

  read(max: number, isFull?: IsFull): Promise<Delivery[]> {
    return this.#feed.next(max, isFull);
  }

  async stop(): Promise<void> {
    this.#gate?.stop();
    this.#stopping.resolve();
    this.#feed.end();
    this.#list.unblock(this.#feed.wake);
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    await this.#putBack(this.#feed.takeBack(unstarted));
  }

  giveBack(deliveries: readonly Delivery[]): Promise<void> {
    if (!this.#isOrdered) return this.#putBack(deliveries);
    const interrupt = async (): Promise<void> => this.#list.unblock(this.#feed.wake);
    return this.#feed.giveBack(deliveries, interrupt, (all) => this.#putBack(all));
  }

  async #putBack(deliveries: readonly Delivery[]): Promise<void> {
    await this.#gate?.giveBack(deliveries.length);
    this.#list.putBack(deliveries.map((delivery) => delivery.frame as Buffer));
  }

  // A popped item is gone: there is nothing to acknowledge.
  readonly held = 0;
  ack(): undefined {}
  nack(): void {}
  abandon(): void {}

  #fetch(max: number): Promise<void> | undefined {
    if (this.#gate !== undefined) {
      const untilSome = (): Promise<boolean> => this.#list.untilItem(this.#stopping.promise);
      return this.#gate.fetch(max, async (some) => this.#take(some), untilSome);
    }
    if (this.#take(max) === 0) this.#list.block(this.#feed.wake);
    else this.#list.wakeOne();
    return undefined;
  }

  #take(max: number): number {
    const items = this.#list.take(max);
    for (const frame of items)
      this.#feed.push({ frame, name: this.#name, id: undefined, count: 1 });
    return items.length;
  }
}
