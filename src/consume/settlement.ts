import type { AckPolicy } from '../api/ack-policy.ts';
import type { Observers } from '../api/observer.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';
import { ExhaustedError, RejectedError, RpcError } from '../errors.ts';
import { backoff } from '../internal/backoff.ts';
import type { ReceivedMessage } from '../message/message.ts';
import type { Delivery, Source } from '../transport/source.ts';
import type { DeadLetters } from './dead-letters.ts';
import { givenUp, type Outcome } from './outcome.ts';

/** How a delivery is settled: `ack` and `reject` tell Redis (XACK, LREM), `nack` has it delivered again. */
export type Settlement = 'ack' | 'nack' | 'reject';

/** Repeated deliveries, as a subscriber is to make them. */
export interface Retry {
  readonly maxDeliveries: number;
  /** The option as it was given; undefined for the default. Handlers that share a reader must agree on it. */
  readonly backoff: number | ((deliveries: number) => number) | undefined;
}

export interface SettlerOptions {
  readonly source: Source;
  readonly policy: AckPolicy;
  readonly retry: Retry | undefined;
  readonly deadLetters: DeadLetters | undefined;
  readonly observers: Observers;
  readonly log: (message: ReceivedMessage, error: unknown, what: string) => void;
}

/** Settles deliveries: acknowledged, delivered again, or sent to the dead letters. */
export class Settler {
  readonly #source: Source;
  readonly #policy: AckPolicy;
  readonly #retry: Retry | undefined;
  readonly #deadLetters: DeadLetters | undefined;
  readonly #observers: Observers;
  readonly #log: SettlerOptions['log'];

  constructor({ source, policy, retry, deadLetters, observers, log }: SettlerOptions) {
    this.#source = source;
    this.#policy = policy;
    this.#retry = retry;
    this.#deadLetters = deadLetters;
    this.#observers = observers;
    this.#log = log;
  }

  /** Whether there is anything to settle: not on channels, plain lists and streams without a group. */
  get needsAck(): boolean {
    return this.#source.needsAck;
  }

  /** With `ack-first`: tells Redis before the handler runs. */
  ackFirst(delivery: Delivery): Promise<void> | undefined {
    return this.#policy === 'ack-first' ? this.#source.ack(delivery) : undefined;
  }

  /** How an outcome settles its delivery; undefined leaves it pending. */
  decide(outcome: Outcome, message: ReceivedMessage, { count }: Delivery): Settlement | undefined {
    const policy = this.#policy;
    const retry = this.#retry;
    if (retry !== undefined && outcome.kind === 'failed') {
      // The same bytes would fail again, and an RpcError is an answer.
      if (outcome.isBadInput || isAnswer(outcome.error, message)) return 'reject';
      return count < retry.maxDeliveries ? 'nack' : 'reject';
    }
    if (policy === 'manual') return undefined;
    if (outcome.kind !== 'failed' || policy === 'ack' || policy === 'ack-first') return 'ack';
    return policy === 'nack-on-error' ? 'nack' : 'reject';
  }

  /** Whether the message is handled again after this outcome, so that a caller waits for that one. */
  retries(outcome: Outcome, message: ReceivedMessage, delivery: Delivery): boolean {
    if (this.#retry === undefined) return false;
    return this.decide(outcome, message, delivery) === 'nack';
  }

  /** The outcome of a delivery past `maxDeliveries`: its handler ended the process each time, and does not run again. */
  exhausted({ count }: Delivery): Outcome | undefined {
    const retry = this.#retry;
    if (retry === undefined || count <= retry.maxDeliveries) return undefined;
    return givenUp(new ExhaustedError(count - 1));
  }

  /** Settles a delivery. The promise, if any, resolves when Redis has been told. */
  settle(
    subscriber: SubscriberInfo,
    message: ReceivedMessage,
    delivery: Delivery,
    how: Settlement | undefined,
    error?: unknown,
  ): Promise<void> | undefined {
    const retry = this.#retry;
    const isSpent = retry !== undefined && delivery.count >= retry.maxDeliveries;
    const observers = this.#source.needsAck ? this.#observers.active : undefined;
    if (observers !== undefined) {
      const final = how === 'nack' && isSpent ? 'reject' : (how ?? 'pending');
      observers.emit('settled', { subscriber, message, how: final });
    }
    if (how === undefined) {
      this.#source.abandon(delivery);
      return undefined;
    }
    if (how === 'nack' && !isSpent) {
      const delay = this.#delay(delivery.count);
      this.#source.nack(delivery, delay);
      const { count: deliveries } = delivery;
      const maxDeliveries = retry?.maxDeliveries;
      observers?.emit('retried', {
        subscriber,
        message,
        delivery: deliveries,
        maxDeliveries,
        delay,
        error,
      });
      return undefined;
    }
    const deadLetters = this.#deadLetters;
    if (how === 'ack' || deadLetters === undefined || isAnswer(error, message))
      return this.#source.ack(delivery);
    return this.#bury(deadLetters, subscriber, message, delivery, error ?? new RejectedError());
  }

  /** Milliseconds before the next delivery, after so many. */
  #delay(deliveries: number): number {
    const given = this.#retry?.backoff;
    if (typeof given === 'function') return given(deliveries);
    return given ?? backoff(deliveries - 1, 200, 30_000);
  }

  /** Sends first and acknowledges then: a crash between the two repeats the dead letter and loses nothing. */
  async #bury(
    deadLetters: DeadLetters,
    subscriber: SubscriberInfo,
    message: ReceivedMessage,
    delivery: Delivery,
    error: unknown,
  ): Promise<void> {
    // The delivery that found it exhausted was not handled, and does not count.
    const count = Math.min(delivery.count, this.#retry?.maxDeliveries ?? Infinity);
    try {
      await deadLetters.bury(message, { ...delivery, count }, error);
    } catch (failure) {
      this.#log(message, failure, 'the message could not be sent to its dead letters');
      this.#source.nack(delivery, backoff(delivery.count, 200, 30_000));
      return;
    }
    const { to } = deadLetters;
    this.#observers.active?.emit('buried', { subscriber, message, to, error });
    await this.#source.ack(delivery);
  }
}

/** An RpcError for a caller is an answer, and no failure of the message. */
function isAnswer(error: unknown, message: ReceivedMessage): boolean {
  return error instanceof RpcError && message.replyTo !== undefined;
}
