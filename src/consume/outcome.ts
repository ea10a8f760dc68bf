import { NoMatchingHandlerError } from '../errors.ts';
import type { FailureStage } from '../api/observer.ts';
import { readable } from '../internal/thrown.ts';

/** How one delivery ended. Answer, acknowledgement and logging are decisions taken on this value. */
export type Outcome =
  | { readonly kind: 'ok'; readonly result: unknown }
  | {
      readonly kind: 'failed';
      readonly error: unknown;
      readonly stage: FailureStage;
      /** The message is at fault and not the handler, which has not run: it would fail again. */
      readonly isBadInput: boolean;
    }
  | { readonly kind: 'skipped' }
  | { readonly kind: 'expired' };

/**
 * Not for this subscriber: a channel name that fits its glob but not its template, or a dead letter
 * that was sent back for another group.
 */
export const SKIPPED: Outcome = { kind: 'skipped' };

/** Its caller has stopped waiting: not handled, and not delivered again. */
export const EXPIRED: Outcome = { kind: 'expired' };

export function ok(result: unknown): Outcome {
  return { kind: 'ok', result };
}

export function failed(error: unknown, stage: FailureStage = 'handler'): Outcome {
  return { kind: 'failed', error: readable(error), stage, isBadInput: false };
}

export function badInput(error: unknown, stage: 'decode' | 'validate' | 'match'): Outcome {
  return { kind: 'failed', error: readable(error), stage, isBadInput: true };
}

/** Given up: no handler runs any more, and no handler of errors either. */
export function givenUp(error: unknown): Outcome {
  return { kind: 'failed', error, stage: 'exhausted', isBadInput: true };
}

/** A filter that throws is a failure like a handler's; that no handler takes the message is not. */
export function notChosen(thrown: unknown): Outcome {
  const error = readable(thrown);
  return error instanceof NoMatchingHandlerError
    ? badInput(error, 'match')
    : failed(error, 'filter');
}
