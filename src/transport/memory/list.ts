import type { Delivery, Source } from '../source.ts';

/** A list key: items, and readers that block on it while it is empty, in the order they came. */
export class MemoryList {
  #items: Buffer[] = [];
  readonly #blocked: (() => void)[] = [];

  push(item: Buffer): number {
    this.#items.push(item);
    this.wakeOne();
    return this.#items.length;
  }

  putBack(items: readonly Buffer[]): void {
    this.#items = [...items, ...this.#items];
    this.wakeOne();
  }

  /** One is enough: a reader that leaves items behind wakes the next. */
  wakeOne(): void {
    if (this.#items.length > 0) this.#blocked.shift()?.();
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

  block(wake: () => void): void {
    this.#blocked.push(wake);
  }

  unblock(wake: () => void): void {
    const at = this.#blocked.indexOf(wake);
    if (at >= 0) this.#blocked.splice(at, 1);
  }
}

export class MemoryListSource implements Source {
  readonly takesBack = true;
  readonly settles = false;
  readonly #list: MemoryList;
  readonly #name: string;
  #wake: (() => void) | undefined;
  #stopped = false;

  constructor(list: MemoryList, name: string) {
    this.#list = list;
    this.#name = name;
  }

  async read(max: number): Promise<Delivery[]> {
    while (!this.#stopped) {
      const items = this.#list.take(max);
      this.#list.wakeOne();
      if (items.length > 0) {
        return items.map((frame) => ({ frame, name: this.#name, id: undefined, count: 1 }));
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#list.block(resolve);
      });
      this.#wake = undefined;
    }
    return [];
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#wake === undefined) return;
    this.#list.unblock(this.#wake);
    this.#wake();
    this.#list.wakeOne();
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    this.#list.putBack(unstarted.map((delivery) => delivery.frame as Buffer));
  }

  // A list's item is gone from Redis once it is popped: there is nothing to settle.
  ack(): undefined {}
  nack(): void {}
  abandon(): void {}
}
