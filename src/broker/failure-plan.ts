import type { AckPolicy } from '../api/ack-policy.ts';
import { deadLetterTarget, type DeliveryOptions } from '../api/delivery.ts';
import type { Pause } from '../consume/breaker.ts';
import type { Retries } from '../consume/settlement.ts';
import type { Target } from '../transport/address.ts';

/** Deliveries of a failed message, at most. */
const MAX_DELIVERIES = 10;
/** Entries of the default dead-letter stream, about. */
const MAX_LETTERS = 10_000;
/** Failures in a row that make a subscriber pause, and milliseconds of the pause. */
const PAUSE = { after: 20, for: 30_000 };

/** What broker, routers and subscriber say of failures, one level over the other; prefixes are put on. */
export interface FailureOptions {
  readonly ackPolicy?: AckPolicy | undefined;
  readonly retry?: DeliveryOptions['retry'];
  readonly deadLetter?: Target | false | undefined;
  readonly pause?: DeliveryOptions['pause'];
  readonly timeout?: number | undefined;
}

/** What becomes of the failed messages of one subscriber, resolved. */
export interface FailurePlan {
  readonly ackPolicy: AckPolicy;
  /** Undefined where nothing is delivered again. */
  readonly retry: Retries | undefined;
  /** Undefined where failed messages are dropped. */
  readonly deadLetter: Target | undefined;
  readonly pause: Pause | undefined;
  /** Milliseconds for a handler. */
  readonly timeout: number | undefined;
}

/**
 * Puts one level's options over those from outside. The nearest one wins; an `ackPolicy` and a `retry`
 * that contradict each other are one choice, so the nearer of the two takes the other away.
 */
export function over(
  outer: FailureOptions,
  own: { readonly ackPolicy?: AckPolicy } & DeliveryOptions & { readonly timeout?: number },
  prefix: string,
  where: string,
): FailureOptions {
  const { ackPolicy, retry, deadLetter, pause, timeout } = own;
  return {
    ackPolicy: ackPolicy ?? (retry === undefined ? outer.ackPolicy : undefined),
    retry: retry ?? (ackPolicy === undefined ? outer.retry : undefined),
    deadLetter:
      deadLetter === undefined
        ? outer.deadLetter
        : deadLetter !== false && deadLetterTarget(deadLetter, prefix, `${where}: deadLetter`),
    pause: pause ?? outer.pause,
    timeout: timeout ?? outer.timeout,
  };
}

/**
 * The table of policies: retried and then a dead letter by default. `needsAck` is false where Redis
 * forgets a message as it delivers it; `name` is the full name of the list or stream.
 */
export function failurePlan(given: FailureOptions, needsAck: boolean, name: string): FailurePlan {
  const { retry, deadLetter, pause, timeout } = given;
  const ackPolicy = given.ackPolicy ?? (retry === false ? 'reject-on-error' : 'nack-on-error');
  if (!needsAck)
    return { ackPolicy, retry: undefined, deadLetter: undefined, pause: undefined, timeout };
  const retries = ackPolicy === 'nack-on-error';
  const buries = retries || ackPolicy === 'reject-on-error';
  return {
    ackPolicy,
    // What is taken by hand (`manual`) is given up after so many deliveries only where somebody says so.
    retry:
      retries || (ackPolicy === 'manual' && retry)
        ? {
            maxDeliveries: (retry || undefined)?.maxDeliveries ?? MAX_DELIVERIES,
            backoff: (retry || undefined)?.backoff,
            isForCalls: retry !== undefined && retry !== false,
          }
        : undefined,
    deadLetter:
      deadLetter === false
        ? undefined
        : (deadLetter ??
          (buries ? { kind: 'stream', name: `${name}:dead`, maxlen: MAX_LETTERS } : undefined)),
    pause: retries && pause !== false ? { ...PAUSE, ...pause } : undefined,
    timeout,
  };
}
