import type { AckPolicy } from '../api/ack-policy.ts';
import type { Observers } from '../api/observer.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';
import { ExhaustedError, Reject, RejectedError, Retry, RpcError } from '../errors.ts';
import { halfJitter } from '../internal/backoff.ts';
import { monotonicTime } from '../internal/clock.ts';
import { pause } from '../internal/deferred.ts';
import { unawaited } from '../internal/promises.ts';
import type { ReceivedMessage } from '../message/message.ts';
import { Replier } from '../rpc/responder/replier.ts';
import { describe } from '../transport/address.ts';
import type { Delivery, Report, Source } from '../transport/source.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { Once } from './once.ts';
import { givenUp, type Outcome } from './outcome.ts';

/** Repeated deliveries, as a subscriber is to make them. */
export interface Retries {
  readonly maxDeliveries: number;
  /** The option as it was given; undefined for the default. Handlers that share a reader must agree on it. */
  readonly backoff: number | ((deliveries: number) => number) | undefined;
  /** Whether failed calls are repeated, too: only where `retry` was given. Else their callers hear of the failure at once. */
  readonly isForCalls: boolean;
}

/** What the user asked for by `ctx.ack()`, `ctx.nack()` or `ctx.reject()`. */
export type Settlement = 'ack' | 'nack' | 'reject';

/** What becomes of a delivery. */
export type Decision =
  /** Acknowledged (XACK, LREM). */
  | { readonly how: 'ack'; readonly isHandled?: boolean }
  /** Delivered again after `delay` milliseconds. One that is not counted leaves `deliveryCount` as it is. */
  | { readonly how: 'nack'; readonly delay: number; readonly isCounted: boolean }
  /** Sent to the dead letters, where there are any, and acknowledged. */
  | { readonly how: 'bury'; readonly error: unknown }
  /** Left pending: the user settles it (`manual`). */
  | { readonly how: 'pending' };

const ACK: Decision = { how: 'ack' };
/** By success, so that a subscriber with `once` remembers it. */
const HANDLED: Decision = { how: 'ack', isHandled: true };
const PENDING: Decision = { how: 'pending' };

export interface SettlerOptions {
  readonly source: Source;
  /** Undefined where no message is handled once. */
  readonly once: Once | undefined;
  readonly policy: AckPolicy;
  readonly noReply: boolean;
  readonly retry: Retries | undefined;
  readonly deadLetters: DeadLetters | undefined;
  readonly observers: Observers;
  readonly log: Log;
  readonly report: Report;
}

/** Logs what happened to a message. */
export type Log = (
  level: 'warn' | 'error',
  message: ReceivedMessage,
  error: unknown,
  what: string,
) => void;

/** Why a message failed, and how the log says it. */
export interface Failure {
  readonly error: unknown;
  readonly what: string;
}

/** Milliseconds between two attempts to send a dead letter that its address does not take. */
const BURY_AGAIN = 1_000;
/** … at most. */
const BURY_AGAIN_MAX = 60_000;

/** Decides what becomes of deliveries, and settles them. */
export class Settler {
  readonly #options: SettlerOptions;
  readonly #source: Source;
  /** Ends the attempts to send dead letters, when the subscriber stops. */
  readonly #stopping = new AbortController();
  /** Dead letters that their address does not take: still pending, and tried again. */
  #unburied = 0;
  #backoffFailed = false;

  constructor(options: SettlerOptions) {
    this.#options = options;
    this.#source = options.source;
  }

  /** Dead letters that could not be sent yet. */
  get unburied(): number {
    return this.#unburied;
  }

  /** What could not be sent to its dead letters stays pending, for the next start. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Whether there is anything to settle: not on channels, plain lists and streams without a group. */
  get needsAck(): boolean {
    return this.#source.needsAck;
  }

  /** Whether the user's own word still counts: with `ack-first` Redis has forgotten the message before. */
  get heedsWord(): boolean {
    return this.needsAck && this.#options.policy !== 'ack-first';
  }

  /** With `ack-first`: tells Redis before the handler runs. */
  ackFirst(delivery: Delivery): Promise<void> | undefined {
    return this.#options.policy === 'ack-first' ? this.#source.ack(delivery) : undefined;
  }

  /** The outcome of a delivery past `maxDeliveries`: its handler ended the process each time, and does not run again. */
  exhausted({ count }: Delivery): Outcome | undefined {
    const { retry } = this.#options;
    if (retry === undefined || count <= retry.maxDeliveries) return undefined;
    return givenUp(new ExhaustedError(count - 1));
  }

  /** Whether a caller waits for this message's answer and gets it: an error, too. */
  answersCaller(message: ReceivedMessage): boolean {
    return Replier.isCall(message) && !this.#options.noReply;
  }

  /** What an outcome means for its delivery. */
  decide(outcome: Outcome, message: ReceivedMessage, delivery: Delivery): Decision {
    const { policy, retry } = this.#options;
    if (!this.#source.needsAck) return ACK;
    // Nobody handles it, now or later: left pending, it would go round for ever.
    if (outcome.kind === 'skipped' || outcome.kind === 'expired') return ACK;
    if (policy === 'manual') return PENDING;
    if (outcome.kind !== 'failed') return HANDLED;
    if (policy === 'ack' || policy === 'ack-first') return ACK;
    const { error } = outcome;
    if (error instanceof Retry) return this.#later(delivery, error.after);
    const isCall = this.answersCaller(message);
    // Its caller knows, and may call again.
    if (isCall && retry?.isForCalls !== true) return ACK;
    // An RpcError is an answer. Where nobody can be told of it, the message has failed.
    if (error instanceof RpcError && isCall) return ACK;
    const isFinal = outcome.isBadInput || error instanceof RpcError || error instanceof Reject;
    if (isFinal || retry === undefined || delivery.count >= retry.maxDeliveries)
      return { how: 'bury', error };
    return { how: 'nack', delay: this.#delay(delivery.count), isCounted: true };
  }

  /** What the user's own word means for a delivery. */
  decideBy(how: Settlement, delivery: Delivery, after: number | undefined): Decision {
    if (how === 'ack') return HANDLED;
    if (how === 'reject') return { how: 'bury', error: new RejectedError() };
    if (after !== undefined) return this.#later(delivery, after);
    const { retry } = this.#options;
    if (retry !== undefined && delivery.count >= retry.maxDeliveries)
      return { how: 'bury', error: new ExhaustedError(delivery.count) };
    return { how: 'nack', delay: this.#delay(delivery.count), isCounted: true };
  }

  /** Settles a delivery. The promise, if any, resolves when Redis has been told. */
  settle(
    subscriber: SubscriberInfo,
    message: ReceivedMessage,
    delivery: Delivery,
    decision: Decision,
    failure?: Failure,
  ): Promise<void> | undefined {
    const observers = this.#source.needsAck ? this.#options.observers.known : undefined;
    if (observers !== undefined) {
      const how = decision.how === 'bury' ? 'reject' : decision.how;
      observers.emit('settled', { subscriber, message, how });
    }
    const { once } = this.#options;
    if (decision.how === 'ack' && decision.isHandled === true)
      return this.#source.ack(delivery, once?.handled(delivery));
    once?.free(delivery);
    if (decision.how === 'ack') return this.#source.ack(delivery);
    if (decision.how === 'bury')
      return this.#bury(subscriber, message, delivery, failure ?? givenUpBy(decision.error));
    if (decision.how === 'pending') {
      this.#source.abandon(delivery);
      return undefined;
    }
    const { delay, isCounted } = decision;
    this.#source.nack(delivery, delay, isCounted);
    observers?.emit('retried', {
      subscriber,
      message,
      delivery: delivery.count,
      maxDeliveries: this.#options.retry?.maxDeliveries,
      delay,
      error: failure?.error,
    });
    return undefined;
  }

  /**
   * Looks at a delivery again after `delay` milliseconds, since a message with its id is being handled. Nothing
   * has happened to it: it is not counted, and observers hear nothing.
   */
  lookAgain(delivery: Delivery, delay: number): void {
    this.#source.nack(delivery, delay, false);
  }

  /** What the log says of a failure that is going to be retried: `delivery 2 of 10, next in 1500 ms`. */
  progress({ count }: Delivery, { delay, isCounted }: Decision & { how: 'nack' }): string {
    const { retry } = this.#options;
    const limit = retry === undefined ? '' : ` of ${retry.maxDeliveries}`;
    const number = isCounted ? `delivery ${count}${limit}` : `delivery ${count} is not counted`;
    return `${number}, next in ${Math.round(delay)} ms`;
  }

  /** Not now: again after a pause, and this delivery does not count. */
  #later({ count }: Delivery, after: number | undefined): Decision {
    return { how: 'nack', delay: after ?? this.#delay(count), isCounted: false };
  }

  /** Milliseconds before the next delivery, after so many. */
  #delay(deliveries: number): number {
    const given = this.#options.retry?.backoff;
    if (typeof given === 'number') return given;
    if (given !== undefined) {
      const asked = this.#ask(given, deliveries);
      if (asked !== undefined) return asked;
    }
    return halfJitter(deliveries - 1, 1_000, 600_000);
  }

  /** What the user's `backoff` says; undefined where it throws or says no time: the default holds then. */
  #ask(backoff: (deliveries: number) => number, deliveries: number): number | undefined {
    let problem: unknown;
    try {
      const delay = backoff(deliveries);
      if (typeof delay === 'number' && delay >= 0 && delay < Infinity) return delay;
      unawaited(delay);
      problem = new TypeError(`it returned ${String(delay)}, and not milliseconds, 0 or more`);
    } catch (error) {
      problem = error;
    }
    if (!this.#backoffFailed)
      this.#options.report("'retry.backoff' failed, the default pauses are used", problem, 'error');
    this.#backoffFailed = true;
    return undefined;
  }

  /**
   * Sends first and acknowledges then: a crash between the two repeats the dead letter and loses
   * nothing. Resolves after the first attempt: one that its address does not take is tried again in
   * the background, without its handler, and holds back no other message.
   */
  async #bury(
    subscriber: SubscriberInfo,
    message: ReceivedMessage,
    delivery: Delivery,
    failure: Failure,
  ): Promise<void> {
    const { deadLetters, log, retry } = this.#options;
    if (deadLetters === undefined) {
      // A handler that rejects a message where nobody asked for dead letters has said all.
      const isOwnWord = failure.error instanceof RejectedError && this.#options.policy === 'manual';
      if (!isOwnWord)
        log(
          'error',
          message,
          failure.error,
          `${failure.what}; the message is dropped (no dead letters)`,
        );
      await this.#source.ack(delivery);
      return;
    }
    // The delivery that found it exhausted was not handled, and does not count.
    const count = Math.min(delivery.count, retry?.maxDeliveries ?? Infinity);
    const send = async (): Promise<void> => {
      await deadLetters.bury(message, { ...delivery, count }, failure.error);
      const to = describe(deadLetters.to);
      log(
        'error',
        message,
        failure.error,
        `${failure.what}; the message is in its dead letters, ${to}`,
      );
      const about = { subscriber, message, to: deadLetters.to, error: failure.error };
      this.#options.observers.active?.emit('buried', about);
      await this.#source.ack(delivery);
    };
    try {
      await send();
    } catch (error) {
      const where = describe(deadLetters.to);
      log('error', message, error, `${where} does not take the dead letter, which is tried again`);
      void this.#buryLater(send, message, delivery, where);
    }
  }

  async #buryLater(
    send: () => Promise<void>,
    message: ReceivedMessage,
    delivery: Delivery,
    where: string,
  ): Promise<void> {
    const { signal } = this.#stopping;
    this.#unburied++;
    let loggedAt = monotonicTime();
    for (let attempt = 0; ; attempt++) {
      await pause(halfJitter(attempt, BURY_AGAIN, BURY_AGAIN_MAX), signal);
      if (signal.aborted) break;
      try {
        await send();
        this.#unburied--;
        return;
      } catch (error) {
        if (monotonicTime() - loggedAt < BURY_AGAIN_MAX) continue;
        loggedAt = monotonicTime();
        this.#options.log('error', message, error, `${where} still does not take the dead letter`);
      }
    }
    this.#unburied--;
    this.#source.abandon(delivery);
  }
}

/** The failure of a message that its handler gave up by its own word. */
function givenUpBy(error: unknown): Failure {
  return { error, what: 'the handler gave the message up' };
}
