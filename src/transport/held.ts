import { Timers } from '../internal/timers.ts';
import type { Delivery } from './source.ts';

/**
 * `running`: a handler has it. `idle`: no handler has it; it waits for a reader or for its next delivery,
 * or was abandoned. `acknowledging`: it was handled, and the server has not confirmed that yet.
 */
type State = 'running' | 'idle' | 'acknowledging';

/** The items of a reliable list that one source has taken and that are not acknowledged yet. */
export class Held {
  readonly #states = new Map<Delivery, State>();
  readonly #retries = new Timers();
  #stopped = false;
  readonly #redeliver: (delivery: Delivery) => void;

  /** `redeliver` is called with a new delivery, held already, when the delay of a `nack` is over. */
  constructor(redeliver: (delivery: Delivery) => void) {
    this.#redeliver = redeliver;
  }

  get size(): number {
    return this.#states.size;
  }

  /** A delivery that waits for a reader. */
  add(delivery: Delivery): void {
    this.#states.set(delivery, 'idle');
  }

  /** Deliveries that a reader has taken. */
  start(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) this.#states.set(delivery, 'running');
  }

  /** True for a delivery that is to be acknowledged now: held, and not under way already. */
  acknowledge(delivery: Delivery): boolean {
    const state = this.#states.get(delivery);
    if (state === undefined || state === 'acknowledging') return false;
    this.#states.set(delivery, 'acknowledging');
    return true;
  }

  /** Has a running delivery delivered again after `delay` milliseconds, unless it is acknowledged before. */
  nack(delivery: Delivery, delay: number): void {
    if (this.#states.get(delivery) !== 'running' || this.#stopped) return;
    this.#states.set(delivery, 'idle');
    this.#retries.after(delay, () => {
      if (this.#states.get(delivery) !== 'idle') return; // acknowledged meanwhile
      this.#states.delete(delivery);
      const again = { ...delivery, count: delivery.count + 1 };
      this.add(again);
      this.#redeliver(again);
    });
  }

  /** No handler has the delivery any more, and none is to have it here. */
  abandon(delivery: Delivery): void {
    if (this.#states.get(delivery) === 'running') this.#states.set(delivery, 'idle');
  }

  delete(delivery: Delivery): void {
    this.#states.delete(delivery);
  }

  /** Nothing is delivered again any more. */
  stop(): void {
    this.#stopped = true;
    this.#retries.clear();
  }

  /** All deliveries that are held. */
  all(): Iterable<Delivery> {
    return this.#states.keys();
  }

  /** Forgets those that no handler has, and returns them. */
  takeIdle(): Delivery[] {
    const idle = [...this.#states].filter(([, state]) => state === 'idle').map(([one]) => one);
    for (const delivery of idle) this.#states.delete(delivery);
    return idle;
  }
}
