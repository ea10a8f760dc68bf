import type { Delivery } from './source.ts';

/**
 * `idle`: no handler has it; it waits for a reader, or was abandoned. `running`: a handler has it.
 * `paused`: it was refused, and waits for its next delivery. `leaving`: the server is being told that it is
 * handled, parked or given back.
 */
type State = 'idle' | 'running' | 'paused' | 'leaving';

interface Item {
  /** What the server knows the item by. */
  token: string;
  /** What the server knows it by when it has done what it is being told. */
  nextToken: string | undefined;
  state: State;
}

/** The items of a reliable list that one source has taken and that are not settled yet. */
export class Held {
  readonly #items = new Map<Delivery, Item>();

  get size(): number {
    return this.#items.size;
  }

  /** A delivery that waits for a reader. */
  add(delivery: Delivery, token: string): void {
    this.#items.set(delivery, { token, nextToken: undefined, state: 'idle' });
  }

  /** Deliveries that a reader has taken. */
  start(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      const item = this.#items.get(delivery);
      if (item !== undefined) item.state = 'running';
    }
  }

  /** The token of a delivery that is held. */
  tokenOf(delivery: Delivery): string | undefined {
    return this.#items.get(delivery)?.token;
  }

  /** True for a delivery that is to leave now: held, and not on its way out already. */
  leave(delivery: Delivery): boolean {
    const item = this.#items.get(delivery);
    if (item === undefined || item.state === 'leaving') return false;
    item.state = 'leaving';
    return true;
  }

  /** True for a delivery whose handler is done and that is to come again later; `waiting` takes its place until then. */
  pause(delivery: Delivery, waiting: Delivery): boolean {
    const item = this.#items.get(delivery);
    if (item?.state !== 'running') return false;
    item.state = 'paused';
    if (waiting === delivery) return true;
    this.#items.delete(delivery);
    this.#items.set(waiting, item);
    return true;
  }

  /** A delivery that could not leave: no handler has it. */
  stay(delivery: Delivery): void {
    const item = this.#items.get(delivery);
    if (item?.state === 'leaving') item.state = 'idle';
  }

  /** The next delivery of an item takes the place of the one before, and waits for a reader. */
  replace(before: Delivery, again: Delivery): void {
    const item = this.#items.get(before);
    if (item === undefined) return;
    this.#items.delete(before);
    this.add(again, item.token);
  }

  /** The server is being told to know an item by another token: until it has answered, by either of the two. */
  renaming(delivery: Delivery, nextToken: string): void {
    const item = this.#items.get(delivery);
    if (item !== undefined) item.nextToken = nextToken;
  }

  /** The server knows an item by the token that it was told. */
  renamed(delivery: Delivery): void {
    const item = this.#items.get(delivery);
    if (item === undefined) return;
    item.token = item.nextToken ?? item.token;
    item.nextToken = undefined;
  }

  /** No handler has the delivery any more. */
  abandon(delivery: Delivery): void {
    const item = this.#items.get(delivery);
    if (item !== undefined && item.state !== 'leaving') item.state = 'idle';
  }

  delete(delivery: Delivery): void {
    this.#items.delete(delivery);
  }

  /** All deliveries that are held, the oldest first. */
  all(): Iterable<Delivery> {
    return this.#items.keys();
  }

  tokens(): Set<string> {
    const all = new Set<string>();
    for (const { token, nextToken } of this.#items.values()) {
      all.add(token);
      if (nextToken !== undefined) all.add(nextToken);
    }
    return all;
  }

  /** Those that no handler has. */
  idle(): Delivery[] {
    return [...this.#items].filter(([, { state }]) => state === 'idle').map(([one]) => one);
  }
}

/** What waits for its next delivery in the place of a refused one: with one delivery less where that does not count. */
export function refused(delivery: Delivery, isCounted: boolean): Delivery {
  return isCounted ? delivery : { ...delivery, count: delivery.count - 1 };
}
