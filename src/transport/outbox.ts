import { OverloadedError } from '../errors.ts';
import { monotonicTime } from '../internal/clock.ts';
import type { Wish } from './transport.ts';

/** Messages that wait for the connection, at most: one more is refused. */
export const MAX_WAITING = 65_536;

/** Milliseconds between two looks for messages that nobody waits for any more: each look goes through all. */
const PURGE = 100;

/** A message, or several that are sent together. */
interface Waiting {
  readonly wish: Wish;
  readonly refused: (error: unknown) => void;
  /** How many messages it sends. */
  readonly count: number;
  readonly send: () => void;
}

/**
 * What is to be sent while the connection is down, in order. ioredis has a queue of its own for this,
 * but that one has no bound, and nothing can be taken out of it.
 */
export class Outbox {
  #waiting: Waiting[] = [];
  #count = 0;
  #purgedAt = -Infinity;

  /** Whether something waits. What is sent then must wait behind it. */
  get isHolding(): boolean {
    return this.#waiting.length > 0;
  }

  /**
   * Keeps a message until `passed` resolves, which is called with the first one; refuses all where it
   * rejects. What nobody waits for by then is not sent.
   */
  add(message: Waiting, passed: () => Promise<unknown>): void {
    const { wish, refused, count } = message;
    if (this.#count + count > MAX_WAITING) this.#purge();
    if (this.#count + count > MAX_WAITING) {
      const why = `${this.#count} messages wait for the connection to Redis already: nothing was sent`;
      refused(new OverloadedError(MAX_WAITING, why));
      return;
    }
    const isFirst = !this.isHolding;
    wish.isWaiting = true;
    this.#waiting.push(message);
    this.#count += count;
    if (!isFirst) return;
    passed().then(
      () => this.#empty(({ send: now }) => now()),
      (error: unknown) => this.#empty((waiting) => waiting.refused(error)),
    );
  }

  #empty(settle: (waiting: Waiting) => void): void {
    const all = this.#waiting;
    this.#waiting = [];
    this.#count = 0;
    for (const waiting of all) {
      waiting.wish.isWaiting = false;
      if (waiting.wish.isWanted !== false) settle(waiting);
    }
  }

  #purge(): void {
    if (monotonicTime() - this.#purgedAt < PURGE) return;
    this.#purgedAt = monotonicTime();
    // One stays, even if nobody wants it: the first one has asked for the connection.
    const wanted = this.#waiting.filter(({ wish }, i) => i === 0 || wish.isWanted !== false);
    this.#waiting = wanted;
    this.#count = wanted.reduce((sum, { count }) => sum + count, 0);
  }
}
