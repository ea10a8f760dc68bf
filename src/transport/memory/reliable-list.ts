import { setTimer } from '../../internal/clock.ts';
import { Timers } from '../../internal/timers.ts';
import type { Timings } from '../timings.ts';
import type { MemoryList } from './list.ts';
import type { Delivery, Source } from '../source.ts';

/** An item that was taken and not acknowledged. */
interface Item {
  readonly frame: Buffer;
  /** Given out and neither nacked nor abandoned. */
  isRunning: boolean;
}

/** A list whose items come back unless they are acknowledged. */
export class MemoryReliableListSource implements Source {
  readonly takesBack = true;
  readonly settles = true;
  readonly #list: MemoryList;
  readonly #name: string;
  readonly #expiry: number;
  /** In the order in which they were taken. */
  readonly #items = new Set<Item>();
  readonly #taken = new WeakMap<Delivery, Item>();
  /** To be delivered again. */
  #again: Delivery[] = [];
  readonly #retries = new Timers();
  #wake: (() => void) | undefined;
  #stopped = false;

  constructor(list: MemoryList, name: string, { expiry }: Timings) {
    this.#expiry = expiry;
    this.#list = list;
    this.#name = name;
  }

  /** Whether nothing will ever be given back. */
  get isOver(): boolean {
    return this.#stopped && this.#items.size === 0;
  }

  async read(max: number): Promise<Delivery[]> {
    while (!this.#stopped) {
      const deliveries = this.#again.length > 0 ? this.#again.splice(0, max) : this.#take(max);
      this.#list.wakeOne();
      if (deliveries.length > 0) return deliveries;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#list.block(resolve);
      });
      this.#list.unblock(this.#wake as () => void);
      this.#wake = undefined;
    }
    return [];
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#retries.clear();
    if (this.#wake === undefined) return;
    this.#list.unblock(this.#wake);
    this.#wake();
    this.#list.wakeOne();
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    for (const delivery of unstarted) this.abandon(delivery);
    this.#giveBack((item) => !item.isRunning);
    if (this.#items.size > 0) setTimer(() => this.die(), this.#expiry).unref();
  }

  /** Gives back everything, as others do when a consumer is gone. */
  die(): void {
    void this.stop();
    this.#giveBack(() => true);
  }

  ack(delivery: Delivery): undefined {
    const item = this.#taken.get(delivery);
    if (item !== undefined) this.#items.delete(item);
  }

  nack(delivery: Delivery, delay: number): void {
    const item = this.#taken.get(delivery);
    if (item?.isRunning !== true || this.#stopped) return;
    item.isRunning = false;
    this.#retries.after(delay, () => {
      if (!this.#items.has(item)) return; // acknowledged meanwhile
      this.#again.push(this.#deliver(item, delivery.count + 1));
      this.#wake?.();
    });
  }

  abandon(delivery: Delivery): void {
    const item = this.#taken.get(delivery);
    if (item !== undefined) item.isRunning = false;
  }

  #take(max: number): Delivery[] {
    const frames = this.#list.take(max);
    return frames.map((frame) => this.#deliver({ frame, isRunning: true }, 1));
  }

  #deliver(item: Item, count: number): Delivery {
    const delivery = { frame: item.frame, name: this.#name, id: undefined, count };
    item.isRunning = true;
    this.#items.add(item);
    this.#taken.set(delivery, item);
    return delivery;
  }

  #giveBack(which: (item: Item) => boolean): void {
    const items = [...this.#items].filter(which);
    for (const item of items) this.#items.delete(item);
    this.#list.putBack(items.map(({ frame }) => frame));
  }
}
