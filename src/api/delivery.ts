/** Options for deliveries that fail: how often and when they are repeated, and where the message is sent after the last one. */
import { SetupError } from '../errors.ts';
import { MAX_TIMER } from '../internal/clock.ts';
import {
  checkedByReader,
  count,
  got,
  isObject,
  milliseconds,
  needs,
  options,
  wrong,
  type Check,
  type Checks,
} from '../internal/checks.ts';
import { targetOf, type Target } from '../transport/address.ts';

/** Repeated deliveries of what failed. */
export interface RetryOptions {
  /**
   * How often a message is delivered before it is given up, the first delivery included. Redis counts, so a
   * handler that ends the process counts too. Default 10.
   */
  maxDeliveries?: number;
  /**
   * Milliseconds before the next delivery: a number, or a function of the number of deliveries so far. Default: 1
   * 000, doubled each time up to 600 000, half of it random.
   */
  backoff?: number | ((deliveries: number) => number);
}

/** Where messages are sent that were rejected or failed too often. */
export type DeadLetterAddress =
  | {
      /** The name of the stream that gets the dead letters. */
      stream: string;
      list?: never;
      /**
       * The stream is trimmed to about this many entries; `null`: it is not trimmed. Default `null`; for the
       * default stream `<name>:dead` 10 000.
       */
      maxlen?: number | null;
    }
  | {
      /** The name of the list that gets the dead letters, instead of a stream. */
      list: string;
      stream?: never;
      maxlen?: never;
    };

/** When the entries of a consumer that died are taken over (XAUTOCLAIM). */
export interface ClaimOptions {
  /**
   * Milliseconds for which a consumer may give no sign of life about an entry before others take it. The time that
   * a handler runs does not count. Default 30 000.
   */
  minIdle?: number;
}

/** When a subscriber stops reading for a while, because every message fails: a database is away. */
export interface PauseOptions {
  /** How many failures in a row start the pause. Only messages that will be retried count. Default 20. */
  after?: number;
  /** Milliseconds until one message is tried. If it succeeds, the pause ends. Default 30 000. */
  for?: number;
}

/** What becomes of failed messages. For subscribers whose messages are acknowledged: a stream's group, or a reliable list. */
export interface DeliveryOptions {
  /**
   * How a failed message is delivered again. `false`: it goes to the dead letters at once. A call is answered with
   * the error and is not retried, unless `retry` is set. Default: 10 deliveries, with pauses from 1 s to 10 min.
   */
  retry?: RetryOptions | false;
  /**
   * Where messages go that were rejected or failed too often, with the error and the origin in their headers.
   * `false`: they are logged and dropped. Default: the stream `<name>:dead`, trimmed to about 10 000 entries.
   */
  deadLetter?: DeadLetterAddress | false;
  /**
   * When the subscriber stops reading for a while because many messages failed in a row. `false`: never. Default:
   * after 20 failures, for 30 s.
   */
  pause?: PauseOptions | false;
}

const backoff: Check = (value, key, where) => {
  if (typeof value === 'function') return;
  if (typeof value !== 'number')
    throw wrong(where, key, 'milliseconds or a function that returns them', value);
  milliseconds(value, key, where);
};

const retryOptions = options({ maxDeliveries: count, backoff } satisfies Checks<RetryOptions>);

const pauseOptions = options({ after: count, for: milliseconds } satisfies Checks<PauseOptions>);

const deadLetterOptions = options({
  stream: checkedByReader,
  list: checkedByReader,
  maxlen: needs('stream', (value, key, where) => {
    if (value !== null) count(value, key, where);
  }),
} satisfies Checks<DeadLetterAddress>);

const claimOptions = options({
  minIdle: (value, key, where) => {
    milliseconds(value, key, where);
    // Redis compares it with whole milliseconds, and it is renewed by an interval.
    const isUsable = Number.isInteger(value) && (value as number) >= 100;
    if (!isUsable || (value as number) > MAX_TIMER)
      throw wrong(where, key, `whole milliseconds, 100 to ${MAX_TIMER}`, value, 'number');
  },
} satisfies Checks<ClaimOptions>);

/** For options that only mean something where failed messages are delivered again. */
function retrying(check: Check): Check {
  return (value, key, where, all) => {
    if (value !== false) check(value, key, where, all);
    const { ackPolicy } = all;
    if (value === false && key === 'retry' && ackPolicy === 'nack-on-error') {
      throw new SetupError(
        `${where}: 'retry: false' contradicts the ackPolicy 'nack-on-error', which delivers again: leave one of them out`,
      );
    }
    if (value === false) return;
    if (key === 'pause' && all['retry'] === false) {
      throw new SetupError(
        `${where}: 'pause' cannot be combined with 'retry: false', which never delivers again: leave one of them out`,
      );
    }
    if (ackPolicy === undefined || ackPolicy === 'nack-on-error') return;
    throw new SetupError(
      `${where}: '${key}' cannot be combined with the ackPolicy '${String(ackPolicy)}', which never delivers again: leave one of them out`,
    );
  };
}

const deadLetter: Check = (value, key, where, all) => {
  if (value === false) return;
  // For a channel deadLetterTarget has the better text: dead letters need a stream or a list.
  const isChannel = isObject(value) && 'channel' in value;
  if (!isChannel) deadLetterOptions(value, key, where, all);
  deadLetterTarget(value as DeadLetterAddress, '', `${where}: ${key}`);
};

/** Options of subscribers whose messages are acknowledged: a stream's group, or a reliable list. */
export const DELIVERY = {
  retry: settling(retrying(retryOptions), "a stream with 'group', or a list with 'reliable'"),
  deadLetter: settling(deadLetter, "a stream with 'group', or a list with 'reliable'"),
  pause: settling(retrying(pauseOptions), "a stream with 'group', or a list with 'reliable'"),
} satisfies Checks<DeliveryOptions>;

/** The same options on a broker or a router: they are for those of its subscribers that acknowledge. */
export const SHARED_DELIVERY = {
  retry: retrying(retryOptions),
  deadLetter,
  pause: retrying(pauseOptions),
} satisfies Checks<DeliveryOptions>;

export const claim = settling(claimOptions, "a stream with 'group'");

/** For options that only mean something where messages are acknowledged. */
export function settling(check: Check, needed: string): Check {
  return (value, key, where, all) => {
    check(value, key, where, all);
    if (all['group'] !== undefined && all['noAck'] === true)
      throw new SetupError(
        `${where}: '${key}' cannot be combined with 'noAck', because Redis then keeps nothing to deliver again: leave one of them out`,
      );
    const isAcknowledged = all['group'] !== undefined || all['reliable'] === true;
    if (isAcknowledged) return;
    throw new SetupError(`${where}: '${key}' needs deliveries that are acknowledged: ${needed}`);
  };
}

/** A dead-letter address as a target. Throws {@link SetupError} for anything but one stream or one list. */
export function deadLetterTarget(
  address: DeadLetterAddress,
  prefix: string,
  where: string,
): Target {
  if (!isObject(address))
    throw new SetupError(`${where}: expected { stream } or { list }, got ${got(address)}`);
  const target = targetOf(address, where);
  if (target.kind === 'channel') {
    throw new SetupError(`${where}: dead letters need a stream or a list: a channel keeps nothing`);
  }
  return { ...target, name: prefix + target.name, maxlen: address.maxlen ?? undefined };
}
