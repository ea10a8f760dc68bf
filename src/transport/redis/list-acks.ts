import type { Redis } from 'ioredis';
import type { Held } from '../held.ts';
import type { Handled } from '../marks.ts';
import type { Delivery } from '../source.ts';
import { ACK_HANDLED_ITEMS } from './mark-scripts.ts';
import { handledKey } from './marks.ts';

/** Fields in one HDEL, tokens in one script. */
const CHUNK = 1_000;

/** Acknowledges the items of a list: HDEL, or a script that remembers that they were handled. */
export class ListAcks {
  readonly #client: Redis;
  readonly #list: string;
  readonly #heldKey: string;
  readonly #held: Held;
  readonly #handled = new Map<Delivery, Handled>();

  constructor(client: Redis, list: string, heldKey: string, held: Held) {
    this.#client = client;
    this.#list = list;
    this.#heldKey = heldKey;
    this.#held = held;
  }

  /** What is to be remembered of a delivery when it is acknowledged. */
  remember(delivery: Delivery, handled: Handled): void {
    this.#handled.set(delivery, handled);
  }

  async acknowledge(acked: readonly Delivery[]): Promise<void> {
    for (let start = 0; start < acked.length; start += CHUNK)
      await this.#acknowledge(acked.slice(start, start + CHUNK));
  }

  async #acknowledge(acked: readonly Delivery[]): Promise<void> {
    const marked = this.#handled.size === 0 ? [] : acked.filter((one) => this.#handled.has(one));
    const others = marked.length === 0 ? acked : acked.filter((one) => !this.#handled.has(one));
    if (others.length > 0) await this.#client.hdel(this.#heldKey, ...this.#tokens(others));
    if (marked.length === 0) return;
    const all = marked.map((one) => this.#handled.get(one) as Handled);
    const marks = all.map(({ id }) => handledKey({ name: this.#list, group: undefined, id }));
    // All of one subscriber are remembered for the same time.
    const args = [Math.ceil(all[0]?.life as number), ...this.#tokens(marked)];
    await ACK_HANDLED_ITEMS.run(this.#client, [this.#heldKey, ...marks], args);
    for (const one of marked) this.#handled.delete(one);
  }

  #tokens(deliveries: readonly Delivery[]): string[] {
    return deliveries.map((delivery) => this.#held.tokenOf(delivery) as string);
  }
}
