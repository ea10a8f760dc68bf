import { RedstartError, RpcError } from '../errors.ts';
import { backoff } from '../internal/backoff.ts';
import type { Message } from '../message/message.ts';
import type { Delivery, Source } from '../transport/transport.ts';
import { settlementFor, type AckPolicy, type Settlement } from './acknowledge.ts';
import type { DeadLetters } from './dead-letter-writer.ts';
import { givenUp, type Outcome } from './outcome.ts';

/** Repeated deliveries, as a subscriber is to make them. */
export interface Retry {
  readonly maxDeliveries: number;
  /** Milliseconds before the delivery after so many. */
  readonly delay: (deliveries: number) => number;
}

export interface SettlerOptions {
  readonly policy: AckPolicy;
  readonly retry: Retry | undefined;
  readonly deadLetters: DeadLetters | undefined;
  readonly log: (message: Message, error: unknown, what: string) => void;
}

/** What becomes of a delivery when its handler is done: acknowledged, delivered again, or dead. */
export class Settler {
  readonly #options: SettlerOptions;
  readonly #source: Source;

  constructor(options: SettlerOptions, source: Source) {
    this.#options = options;
    this.#source = source;
  }

  /** What an outcome means for its delivery; undefined leaves it pending. */
  decide(outcome: Outcome, message: Message, { count }: Delivery): Settlement | undefined {
    const { policy, retry } = this.#options;
    if (retry === undefined || outcome.kind !== 'failed') return settlementFor(policy, outcome);
    // Nothing is gained by reading the same bytes again, and an RpcError is an answer.
    if (outcome.isBadInput === true || isAnswer(outcome.error, message)) return 'reject';
    return count < retry.maxDeliveries ? 'nack' : 'reject';
  }

  /** Whether the outcome is to be followed by another, so that a caller waits for that one. */
  retries(outcome: Outcome, message: Message, delivery: Delivery): boolean {
    if (this.#options.retry === undefined) return false;
    return this.decide(outcome, message, delivery) === 'nack';
  }

  /** What a delivery that was delivered too often ends with, unhandled: its handler has ended the process each time. */
  exhausted({ count }: Delivery): Outcome | undefined {
    const { retry } = this.#options;
    if (retry === undefined || count <= retry.maxDeliveries) return undefined;
    return givenUp(
      new RedstartError('EXHAUSTED', `delivered ${count - 1} times, and never handled to the end`),
    );
  }

  /** The promise, if any, is for when Redis has been told. */
  tell(
    message: Message,
    delivery: Delivery,
    how: Settlement | undefined,
    error?: unknown,
  ): Promise<void> | undefined {
    const { retry, deadLetters } = this.#options;
    if (how === undefined) {
      this.#source.abandon(delivery);
      return undefined;
    }
    const isSpent = retry !== undefined && delivery.count >= retry.maxDeliveries;
    if (how === 'nack' && !isSpent) {
      const delay = retry?.delay(delivery.count) ?? backoff(delivery.count - 1, 200, 30_000);
      this.#source.nack(delivery, delay);
      return undefined;
    }
    if (how === 'ack' || deadLetters === undefined || isAnswer(error, message))
      return this.#source.ack(delivery);
    const reason = error ?? new RedstartError('REJECTED', 'the handler rejected the message');
    return this.#bury(deadLetters, message, delivery, reason);
  }

  /** First sent, then acknowledged: a crash between the two repeats it, and loses nothing. */
  async #bury(
    deadLetters: DeadLetters,
    message: Message,
    delivery: Delivery,
    error: unknown,
  ): Promise<void> {
    const { retry } = this.#options;
    // The delivery that found it exhausted was not handled, and does not count.
    const count = Math.min(delivery.count, retry?.maxDeliveries ?? Infinity);
    try {
      await deadLetters.bury(message, { ...delivery, count }, error);
    } catch (failure) {
      this.#options.log(message, failure, 'the message could not be sent to its dead letters');
      this.#source.nack(delivery, backoff(delivery.count, 200, 30_000));
      return;
    }
    await this.#source.ack(delivery);
  }
}

/** What a caller is told on purpose is no failure of the message. */
function isAnswer(error: unknown, message: Message): boolean {
  return error instanceof RpcError && message.replyTo !== undefined;
}
