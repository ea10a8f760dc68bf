import { setTimer } from '../../internal/clock.ts';
import { Feed } from '../feed.ts';
import type { Delivery, IsFull, Source } from '../source.ts';

/** Longer timers end at once. */
const MAX_DELAY = 2 ** 31 - 1;

/** A list key: items, and readers that block on it while it is empty, in the order they came. */
export class MemoryList {
  /** How often items were delivered before, beyond 0. */
  readonly countsOf = new WeakMap<Buffer, number>();
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
    setTimer(() => this.putBack([item]), Math.min(delay, MAX_DELAY)).unref();
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

  get items(): readonly Buffer[] {
    return this.#items;
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

  constructor(list: MemoryList, name: string) {
    this.#list = list;
    this.#name = name;
    this.#feed = new Feed({ fetch: (max) => this.#take(max) });
  }

  read(max: number, isFull?: IsFull): Promise<Delivery[]> {
    return this.#feed.next(max, isFull);
  }

  async stop(): Promise<void> {
    this.#feed.end();
    this.#list.unblock(this.#feed.wake);
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    this.#list.putBack(unstarted.map((delivery) => delivery.frame as Buffer));
  }

  async giveBack(deliveries: readonly Delivery[]): Promise<void> {
    this.#list.putBack(deliveries.map((delivery) => delivery.frame as Buffer));
  }

  // A popped item is gone: there is nothing to acknowledge.
  readonly held = 0;
  ack(): undefined {}
  nack(): void {}
  abandon(): void {}

  #take(max: number): undefined {
    const items = this.#list.take(max);
    if (items.length === 0) this.#list.block(this.#feed.wake);
    else this.#list.wakeOne();
    for (const frame of items) {
      this.#feed.push({ frame, name: this.#name, id: undefined, count: 1 });
    }
  }
}
