import type { Message } from '../api/message.ts';
import { milliseconds } from '../internal/checks.ts';
import { monotonicTime } from '../internal/clock.ts';
import { settledWithin } from '../internal/deferred.ts';
import type { Logger } from '../internal/logger.ts';
import { DisconnectedError, type Delivery, type Source } from '../transport/source.ts';
import type { Dispatcher } from './dispatcher.ts';

/**
 * A message that its taker acknowledges (`ack`), hands back (`nack`) or refuses (`reject`). On
 * channels, plain lists and streams without a group, these do nothing.
 */
export interface ConsumedMessage<Body = unknown> extends Message<Body> {
  ack(): Promise<void>;
  nack(): Promise<void>;
  reject(): Promise<void>;
}

/** A subscription without a handler: `next` or `for await` takes its messages. */
export class Consumer<Body = unknown> implements AsyncIterable<ConsumedMessage<Body>> {
  readonly #source: Source;
  readonly #dispatcher: Dispatcher;
  readonly #logger: Logger;
  readonly #onClose: (consumer: Consumer) => void;
  /** Deliveries that are fetched and not taken. */
  #waiting: Delivery[] = [];
  #reading: Promise<void> | undefined;
  #closed = false;

  /** @internal */
  constructor(
    source: Source,
    dispatcher: Dispatcher,
    logger: Logger,
    onClose: (consumer: Consumer) => void,
  ) {
    this.#source = source;
    this.#dispatcher = dispatcher;
    this.#logger = logger;
    this.#onClose = onClose;
  }

  /**
   * Takes the next message. Resolves with `null` if none arrives within `timeout` milliseconds
   * (default: no limit), or after `close`.
   */
  async next({ timeout }: { timeout?: number } = {}): Promise<ConsumedMessage<Body> | null> {
    if (timeout !== undefined) milliseconds(timeout, 'timeout', 'next');
    const until = timeout === undefined ? Infinity : monotonicTime() + timeout;
    for (;;) {
      const delivery = this.#waiting.shift();
      const message = delivery === undefined ? undefined : await this.#take(delivery);
      if (message !== undefined) return message;
      if (delivery !== undefined) continue;
      if (this.#closed) return null;
      // A read that takes longer than the timeout goes on; the next call takes its message.
      const reading = (this.#reading ??= this.#read());
      const left = Math.max(0, until - monotonicTime());
      if (until < Infinity && !(await settledWithin(reading, left))) return null;
      await reading;
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ConsumedMessage<Body>, void, undefined> {
    for (let message = await this.next(); message !== null; message = await this.next())
      yield message;
  }

  /** Ends the subscription, and gives back messages that were fetched and not taken. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#source.stop();
    await this.#reading?.catch(() => undefined); // next() has rejected with this error
    await this.#source.close(this.#waiting.splice(0));
    this.#onClose(this);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #read(): Promise<void> {
    try {
      const deliveries = await this.#source.read(1);
      this.#waiting.push(...deliveries);
    } catch (error) {
      // The next read waits for the connection.
      if (!(error instanceof DisconnectedError)) throw error;
    } finally {
      this.#reading = undefined;
    }
  }

  /** Makes the message of a delivery. Undefined if the filter refuses it, or if it cannot be decoded, which is logged. */
  async #take(delivery: Delivery): Promise<ConsumedMessage<Body> | undefined> {
    const attempt = this.#dispatcher.open(delivery);
    await this.#dispatcher.validate(attempt);
    const { message, context, outcome } = attempt;
    if (outcome === undefined) {
      return Object.assign(message as Message<Body>, {
        ack: () => context.ack(),
        nack: () => context.nack(),
        reject: () => context.reject(),
      });
    }
    if (outcome.kind === 'failed') {
      this.#logger.error(
        { err: outcome.error, id: message.id },
        `a message from ${delivery.name} is skipped`,
      );
      await context.reject();
    }
    return undefined;
  }
}
