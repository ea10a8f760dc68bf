/** What a subscriber says about deliveries that fail: how often, how soon, and where they end. */
import { SetupError } from '../errors.ts';
import { checkKeys, isObject, requireCount } from '../internal/checks.ts';
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

/** Where messages end that are rejected or given up. */
export type DeadLetterAddress =
  | { stream: string; list?: never; /** Trim to about this many entries. */ maxlen?: number }
  | { list: string; stream?: never; maxlen?: never };

/** Taking over from consumers that died. */
export interface ClaimOptions {
  /** Milliseconds that a consumer may be silent about an entry before others take it. Running handlers are never silent. Default 30 000. */
  minIdle?: number;
}

/** Options of subscribers whose messages are acknowledged. */
export interface DeliveryOptions {
  /** Deliver again what failed, so often at most. Default: a failed message is rejected at once. */
  retry?: RetryOptions;
  /** Where rejected and given-up messages are sent, with the error and the origin in their headers. Default: they are logged and gone. */
  deadLetter?: DeadLetterAddress;
}

/** The same where nothing is acknowledged. */
export interface NoDeliveryOptions {
  retry?: never;
  deadLetter?: never;
}

export const DELIVERY_KEYS = ['retry', 'deadLetter'];

const KEYS_OF = {
  retry: ['maxDeliveries', 'backoff'],
  deadLetter: ['stream', 'list', 'maxlen'],
  claim: ['minIdle'],
};

/** Checks what `settles` (acknowledged) subscribers may say. Throws {@link SetupError}. */
export function checkDelivery(
  options: DeliveryOptions & { ackPolicy?: unknown; noAck?: unknown; claim?: ClaimOptions },
  settles: boolean,
  where: string,
): void {
  const { retry, deadLetter, claim } = options;
  for (const key of ['retry', 'deadLetter', 'claim'] as const) {
    const value: unknown = options[key];
    if (value === undefined) continue;
    if (!isObject(value)) {
      const came = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;
      throw new SetupError(`${where}: '${key}' must be an object, got ${came}`);
    }
    // What no address can be is said better where addresses are read.
    if (!(key === 'deadLetter' && 'channel' in value))
      checkKeys(value, KEYS_OF[key], where, `'${key}'`);
    if (!settles || options.noAck === true) {
      const needs =
        key === 'claim'
          ? "a stream with 'group'"
          : "a stream with 'group', or a list with 'reliable'";
      throw new SetupError(`${where}: '${key}' needs deliveries that are acknowledged: ${needs}`);
    }
  }
  if (retry !== undefined) checkRetry(retry, options.ackPolicy, where);
  if (deadLetter !== undefined) deadLetterTarget(deadLetter, '', `${where}: deadLetter`);
  if (claim?.minIdle !== undefined && !(claim.minIdle >= 100)) {
    throw new SetupError(
      `${where}: 'claim.minIdle' must be 100 ms or more, got ${String(claim.minIdle)}`,
    );
  }
}

function checkRetry(
  { maxDeliveries, backoff }: RetryOptions,
  policy: unknown,
  where: string,
): void {
  requireCount(maxDeliveries, 'retry.maxDeliveries', where);
  const isTime = typeof backoff === 'number' && backoff >= 0;
  if (backoff !== undefined && !isTime && typeof backoff !== 'function') {
    throw new SetupError(
      `${where}: 'retry.backoff' must be milliseconds or a function that returns them, got ${String(backoff)}`,
    );
  }
  if (policy === 'ack' || policy === 'ack-first' || policy === 'manual') {
    throw new SetupError(
      `${where}: 'retry' cannot be combined with the ackPolicy '${policy}', which never delivers again`,
    );
  }
}

/** A dead-letter address as a target. Throws {@link SetupError} where it is none. */
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
