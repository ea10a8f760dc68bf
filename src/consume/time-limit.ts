import { HandlerTimeoutError } from '../errors.ts';
import { clearTimer, setDeadline } from '../internal/clock.ts';
import { iteratorOf } from '../internal/promises.ts';
import type { HandlerContext } from './context.ts';
import { failed, type Outcome } from './outcome.ts';

/** How long a handler may take. */
export interface TimeLimit {
  /** Milliseconds until its signal aborts. */
  readonly timeout: number;
  /** Milliseconds from then on until its place is free. */
  readonly grace: number;
}

/** The outcome, or a failure where the handler takes too long. A late result is ignored. */
export function withinTime<O extends Outcome | Promise<Outcome>>(
  context: HandlerContext,
  outcome: O,
  limit: TimeLimit | undefined,
): O | Promise<Outcome> {
  if (limit === undefined || !(outcome instanceof Promise)) return outcome;
  return within(context, outcome, limit).catch((error: unknown) => failed(error, stageOf(error)));
}

/** Where a streamed answer failed. */
export function stageOf(error: unknown): 'handler' | 'timeout' {
  return error instanceof HandlerTimeoutError ? 'timeout' : 'handler';
}

/**
 * A streamed answer in which each item has this time, counted while its generator works. `left` is called where the
 * generator does not heed its signal, with the promise of its end.
 */
export function itemsWithinTime(
  context: HandlerContext,
  items: AsyncIterable<unknown>,
  limit: TimeLimit,
  left: (ended: Promise<unknown>) => void,
): AsyncIterable<unknown> {
  const iterator = iteratorOf(items);
  let isLate = false;
  const limited: AsyncIterator<unknown, unknown> = {
    next: async () =>
      within(context, Promise.resolve(iterator.next()), limit, () => {
        isLate = true;
      }),
    return: async () => {
      const ended = iterator.return?.();
      // It may never get there: a generator that hangs is left behind.
      if (isLate && ended !== undefined) left(ended.catch(() => undefined));
      else await ended;
      return { done: true, value: undefined };
    },
  };
  return { [Symbol.asyncIterator]: () => limited };
}

/** What `work` resolves with, or a `HandlerTimeoutError` where it does not within the limit. */
function within<T>(
  context: HandlerContext,
  work: Promise<T>,
  { timeout, grace }: TimeLimit,
  onLate?: () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const error = new HandlerTimeoutError(timeout);
    let timer = setDeadline(() => {
      context.abort(error);
      timer = setDeadline(() => {
        onLate?.();
        reject(error);
      }, grace);
    }, timeout);
    void work.then(resolve, reject).then(() => clearTimer(timer));
  });
}
