/** Options for deliveries that fail: how often and when they are repeated, and where the message is sent after the last one. */
import { SetupError } from '../errors.ts';
import {
  checkedByReader,
  count,
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
  /** Deliveries before the message is given up, the first included; counted by Redis, so a handler that ends the process counts too. */
  maxDeliveries: number;
  /**
   * Milliseconds before the next delivery: a number, or a function of the deliveries so far.
   * Default: 200 doubled each time up to 30 000, with full jitter.
   */
  backoff?: number | ((deliveries: number) => number);
}

/** Where messages are sent that were rejected or failed too often. */
export type DeadLetterAddress =
  | { stream: string; list?: never; /** Trim to about this many entries. */ maxlen?: number }
  | { list: string; stream?: never; maxlen?: never };

/** When the entries of a consumer that died are taken over (XAUTOCLAIM). */
export interface ClaimOptions {
  /** Milliseconds that a consumer may be silent about an entry before others take it. Running handlers are never silent. Default 30 000. */
  minIdle?: number;
}

/** Options of subscribers whose messages are acknowledged. */
export interface DeliveryOptions {
  /** Deliver a failed message again, up to a number of times. Default: a failed message is rejected at once. */
  retry?: RetryOptions;
  /** Where rejected and given-up messages are sent, with the error and the origin in their headers. Default: they are logged and dropped. */
  deadLetter?: DeadLetterAddress;
}

/** For subscribers whose messages are not acknowledged. */
export interface NoDeliveryOptions {
  retry?: never;
  deadLetter?: never;
}

const backoff: Check = (value, key, where) => {
  if (typeof value === 'function') return;
  if (typeof value !== 'number')
    throw wrong(where, key, 'milliseconds or a function that returns them', value);
  milliseconds(value, key, where);
};

const retryOptions = options({ maxDeliveries: count, backoff } satisfies Checks<RetryOptions>, [
  'maxDeliveries',
]);

const deadLetterOptions = options({
  stream: checkedByReader,
  list: checkedByReader,
  maxlen: needs('stream', count),
} satisfies Checks<DeadLetterAddress>);

const claimOptions = options({
  minIdle: (value, key, where) => {
    milliseconds(value, key, where);
    if ((value as number) < 100) throw wrong(where, key, '100 ms or more', value, 'number');
  },
} satisfies Checks<ClaimOptions>);

const retry: Check = (value, key, where, all) => {
  retryOptions(value, key, where, all);
  const { ackPolicy } = all;
  if (ackPolicy === 'ack' || ackPolicy === 'ack-first' || ackPolicy === 'manual') {
    throw new SetupError(
      `${where}: '${key}' cannot be combined with the ackPolicy '${ackPolicy}', which never delivers again`,
    );
  }
};

const deadLetter: Check = (value, key, where, all) => {
  // For a channel deadLetterTarget has the better text: dead letters need a stream or a list.
  const isChannel = isObject(value) && 'channel' in value;
  if (!isChannel) deadLetterOptions(value, key, where, all);
  deadLetterTarget(value as DeadLetterAddress, '', `${where}: ${key}`);
};

/** Options of subscribers whose messages are acknowledged: a stream's group, or a reliable list. */
export const DELIVERY = {
  retry: settling(retry, "a stream with 'group', or a list with 'reliable'"),
  deadLetter: settling(deadLetter, "a stream with 'group', or a list with 'reliable'"),
} satisfies Checks<DeliveryOptions>;

export const claim = settling(claimOptions, "a stream with 'group'");

function settling(check: Check, needed: string): Check {
  return (value, key, where, all) => {
    check(value, key, where, all);
    const isAcknowledged = all['group'] !== undefined || all['reliable'] === true;
    if (isAcknowledged && all['noAck'] !== true) return;
    throw new SetupError(`${where}: '${key}' needs deliveries that are acknowledged: ${needed}`);
  };
}

/** A dead-letter address as a target. Throws {@link SetupError} for anything but one stream or one list. */
export function deadLetterTarget(
  address: DeadLetterAddress,
  prefix: string,
  where: string,
): Target {
  const target = targetOf(address, where);
  if (target.kind === 'channel') {
    throw new SetupError(`${where}: dead letters need a stream or a list: a channel keeps nothing`);
  }
  return { ...target, name: prefix + target.name, maxlen: address.maxlen };
}
