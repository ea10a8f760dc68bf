import type { Message } from '../api/message.ts';
import { RedstartError, messageOf } from '../errors.ts';
import { backoff } from '../internal/backoff.ts';
import { isObject, milliseconds, wrong } from '../internal/checks.ts';
import { clearTimer, setDeadline } from '../internal/clock.ts';
import { pause } from '../internal/deferred.ts';
import type { Target } from '../transport/address.ts';
import { refusalOf } from '../transport/refusal.ts';
import { DisconnectedError, type Delivery, type Report, type Source } from '../transport/source.ts';

/**
 * A message that you acknowledge (`ack`), give back (`nack`) or refuse (`reject`). On
 * channels, plain lists and streams without a group, these do nothing.
 */
export interface ConsumedMessage<Body = unknown> extends Message<Body> {
  ack(): Promise<void>;
  nack(): Promise<void>;
  reject(): Promise<void>;
}

/** What a consumer needs of the subscription that it belongs to. */
export interface ConsumerOptions {
  readonly source: Source;
  /** Makes the message of a delivery. Undefined for one that is not to be taken: it is settled then. */
  readonly take: (delivery: Delivery) => Promise<ConsumedMessage | undefined>;
  /** What the user can do about an error that another attempt does not fix; undefined for other errors. */
  readonly adviceOn: (error: unknown) => string | undefined;
  /** What it reads, for errors. */
  readonly at: Target;
  readonly report: Report;
  readonly onClose: (consumer: Consumer) => void;
}

/** One call of `next` that waits. */
interface Waiter {
  resolve(message: ConsumedMessage | null): void;
  reject(error: unknown): void;
  timer: NodeJS.Timeout | undefined;
}

/** A subscription without a handler: `next` or `for await` takes its messages. */
export class Consumer<Body = unknown> implements AsyncIterable<ConsumedMessage<Body>> {
  readonly #options: ConsumerOptions;
  readonly #source: Source;
  /** Calls of `next` that wait, the oldest first. */
  readonly #waiters = new Set<Waiter>();
  readonly #stopping = new AbortController();
  /** Deliveries that are fetched and not taken. */
  #waiting: Delivery[] = [];
  /** Reads while calls wait; undefined while none does. */
  #reading: Promise<void> | undefined;
  /** Reads that have failed in a row. */
  #failures = 0;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#source = options.source;
  }

  /**
   * Takes the next message. Resolves with `null` if none arrives within `timeout` milliseconds
   * (default: no limit), and when the consumer is closed. Calls that wait at the same time get
   * messages in the order of the calls. While the server is away, it continues to wait. Rejects with an error
   * that does not pass by itself, such as a missing right.
   */
  async next(options: { timeout?: number } = {}): Promise<ConsumedMessage<Body> | null> {
    if (!isObject(options)) throw wrong('next', 'options', 'an object', options);
    const { timeout } = options;
    if (timeout !== undefined) milliseconds(timeout, 'timeout', 'next');
    if (this.#closing !== undefined) return null;
    return new Promise<ConsumedMessage | null>((resolve, reject) => {
      const waiter: Waiter = { resolve, reject, timer: undefined };
      this.#waiters.add(waiter);
      if (timeout !== undefined) waiter.timer = setDeadline(() => this.#end(waiter, null), timeout);
      this.#reading ??= this.#read();
    }) as Promise<ConsumedMessage<Body> | null>;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ConsumedMessage<Body>, void, undefined> {
    for (let message = await this.next(); message !== null; message = await this.next())
      yield message;
  }

  /** Ends the subscription: calls of `next` that wait resolve with `null`, and messages that were fetched and not taken go back. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#stopping.abort();
    for (const waiter of this.#waiters) this.#end(waiter, null);
    try {
      await this.#source.stop();
      await this.#reading;
      await this.#source.close(this.#waiting.splice(0));
    } finally {
      this.#options.onClose(this);
    }
  }

  /**
   * Hands out deliveries while calls of `next` wait. A read that goes on when they have given up keeps
   * its delivery for the next call. Never rejects.
   */
  async #read(): Promise<void> {
    while (this.#waiters.size > 0) {
      try {
        if (this.#waiting.length === 0) this.#waiting = await this.#source.read(1);
        this.#failures = 0;
        if (this.#waiting.length === 0) {
          // The source has stopped.
          for (const waiter of this.#waiters) this.#end(waiter, null);
          break;
        }
        if (this.#waiters.size > 0) await this.#handOut();
      } catch (error) {
        if (!(await this.#pauseAfter(error))) break;
      }
    }
    this.#reading = undefined;
  }

  async #handOut(): Promise<void> {
    const delivery = this.#waiting.shift() as Delivery;
    const message = await this.#options.take(delivery);
    if (message === undefined) return;
    const [waiter] = this.#waiters;
    if (waiter === undefined) this.#waiting.unshift(delivery);
    else this.#end(waiter, message);
  }

  /** Waits before the next read. Resolves with false where there is none: the calls that wait have failed. */
  async #pauseAfter(error: unknown): Promise<boolean> {
    const { adviceOn, at, report } = this.#options;
    const { signal } = this.#stopping;
    if (signal.aborted) return false;
    if (error instanceof RedstartError || adviceOn(error) !== undefined) {
      for (const waiter of this.#waiters) {
        this.#forget(waiter);
        waiter.reject(refusalOf(at, error));
      }
      return false;
    }
    this.#failures++;
    // After a DisconnectedError the next read itself waits for the connection.
    if (error instanceof DisconnectedError) return true;
    const delay = backoff(this.#failures, 250, 5_000);
    // An error that repeats is logged at the first, second, fourth, eighth … time.
    if (Number.isInteger(Math.log2(this.#failures)))
      report(`reading failed, next attempt in ${Math.round(delay)} ms: ${messageOf(error)}`, error);
    await pause(delay, signal);
    return true;
  }

  #end(waiter: Waiter, message: ConsumedMessage | null): void {
    this.#forget(waiter);
    waiter.resolve(message);
  }

  #forget(waiter: Waiter): void {
    clearTimer(waiter.timer);
    this.#waiters.delete(waiter);
  }
}
