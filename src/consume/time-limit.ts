import { HandlerTimeoutError } from '../errors.ts';
import { clearTimer, setTimer } from '../internal/clock.ts';
import type { HandlerContext } from './context.ts';
import { failed, type Outcome } from './outcome.ts';

/**
 * The outcome, or a failure where the handler takes too long: its signal aborts after `timeout`
 * milliseconds, and `grace` milliseconds later its place is free. A late result is ignored.
 */
export function withinTime(
  context: HandlerContext,
  outcome: Promise<Outcome>,
  timeout: number,
  grace: number,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const error = new HandlerTimeoutError(timeout);
    let timer = setTimer(() => {
      context.abort(error);
      timer = setTimer(() => resolve(failed(error, 'timeout')), grace);
    }, timeout);
    void outcome.then((ended) => {
      clearTimer(timer);
      resolve(ended);
    });
  });
}
