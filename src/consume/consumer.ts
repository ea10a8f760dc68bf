import type { Message } from '../api/message.ts';
import { milliseconds } from '../internal/checks.ts';
import { monotonicTime } from '../internal/clock.ts';
import { settledWithin } from '../internal/deferred.ts';
import type { Logger } from '../internal/logger.ts';
import { DisconnectedError, type Delivery, type Source } from '../transport/source.ts';
import type { Dispatcher } from './dispatcher.ts';

/** A message that whoever took it settles. On channels, plain lists and streams without a group these do nothing. */
export interface ConsumedMessage<Body = unknown> extends Message<Body> {
  ack(): Promise<void>;
  nack(): Promise<void>;
  reject(): Promise<void>;
}

/** A subscription without a handler: messages are taken by `next`, or by `for await`. */
export class Consumer<Body = unknown> implements AsyncIterable<ConsumedMessage<Body>> {
  readonly #source: Source;
  readonly #dispatcher: Dispatcher;
  readonly #logger: Logger;
  readonly #onClose: (consumer: Consumer) => void;
  /** Fetched and not yet taken. */
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

  /** The next message; `null` when none came within `timeout` milliseconds (default: wait), or after `close`. */
  async next({ timeout }: { timeout?: number } = {}): Promise<ConsumedMessage<Body> | null> {
    if (timeout !== undefined) milliseconds(timeout, 'timeout', 'next');
    const until = timeout === undefined ? Infinity : monotonicTime() + timeout;
    for (;;) {
      const delivery = this.#waiting.shift();
      const message = delivery === undefined ? undefined : await this.#take(delivery);
      if (message !== undefined) return message;
      if (delivery !== undefined) continue;
      if (this.#closed) return null;
      // A read that outlives our patience goes on, and its message is the next call's.
      const reading = (this.#reading ??= this.#read());
      const patience = Math.max(0, until - monotonicTime());
      if (until < Infinity && !(await settledWithin(reading, patience))) return null;
      await reading;
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ConsumedMessage<Body>, void, undefined> {
    for (let message = await this.next(); message !== null; message = await this.next())
      yield message;
  }

  /** Ends the subscription; what was fetched and not taken goes back. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#source.stop();
    await this.#reading?.catch(() => undefined); // its caller has seen it
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
      // The next read goes on waiting, for as long as somebody wants it to.
      if (!(error instanceof DisconnectedError)) throw error;
    } finally {
      this.#reading = undefined;
    }
  }

  /** Undefined for what cannot be handed out: not for us, or not decodable, which is logged. */
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
